"""Any network of braindecode as an encoder: what it gives its classifier, by the network's name.

Needs the extra ``braindecode`` (https://braindecode.org, BSD-3-Clause), which is imported when the
first such encoder is built.
"""

from __future__ import annotations

import importlib
import inspect
import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tscl.encoders.base import ENCODERS, Encoder, evaluating
from tscl.encoders.convolution import check_dims
from tscl.encoders.strided import mask_series
from tscl.errors import ConfigError, InputError, MissingExtraError, check_choice, is_number, nearest
from tscl.registry import constructor_arguments

_OWN = ("n_chans", "n_outputs", "n_times", "sfreq", "input_window_seconds")
"""Arguments of braindecode's networks that the encoder sets itself."""


def braindecode_models() -> dict[str, type[nn.Module]]:
    """Networks of the installed braindecode by name.

    Raises:
        MissingExtraError: braindecode is not installed.
        InputError: it is, but cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models = importlib.import_module("braindecode.models")
            util = importlib.import_module("braindecode.models.util")
    except ImportError:
        raise MissingExtraError("braindecode", "braindecode") from None
    except OSError as error:  # a torchaudio of another build of torch
        remedy = f"it cannot be imported ({error}); install the torchaudio of your torch's build"
        raise InputError("braindecode", "installed", remedy) from error
    known: dict[str, type[nn.Module]] = util.models_dict
    if not known:
        util._init_models_dict()
    return {name: getattr(models, name, model) for name, model in known.items()}


class _Passed(nn.Module):
    """In place of a classifier: gives what it is given."""

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        return x


@ENCODERS.register("braindecode")
class BraindecodeEncoder(Encoder):
    """A network of braindecode without its classifier (``final_layer``).

    Embeddings are what the classifier is given: (B, T', D) where it is a convolution over time or
    a linear map of every token, else one embedding a series, flattened. Most networks take series
    of one length, so all do here. Hidden steps and missing values are zero in the input.

    Args:
        input_dims: channels C of the series.
        model: name of the network, such as ``EEGNet``, ``Deep4Net`` or ``EEGConformer``; see
            :func:`braindecode_models`.
        n_times: steps of every series.
        sampling_rate: in Hz, for networks whose layers are measured in seconds; None is unknown.
        model_params: further arguments of the network. A layer type is given by its name in
            ``torch.nn``, such as ``ELU``; ``chs_info`` as a list of mappings.

    Attributes:
        output_dims: channels of what the classifier is given.
        stride: ``n_times`` over T', rounded up.
        receptive_field: ``2 n_times - 1``, since nothing is known of the network.

    Raises:
        MissingExtraError: braindecode is not installed.
        ConfigError: an unknown network or argument, or one that the network refuses.
        InputError: a number out of range, or an input of another shape.

    Example:
        An EEGNet of braindecode for 22 electrodes and 2 s at 128 Hz::

            encoder = BraindecodeEncoder(22, "EEGNet", n_times=256, sampling_rate=128)
            encoder(torch.zeros(3, 256, 22)).shape  # (3, 8, 16)
    """

    name: ClassVar[str] = "braindecode"

    def __init__(
        self,
        input_dims: int,
        model: str,
        n_times: int,
        sampling_rate: float | None = None,
        model_params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_dims(input_dims=input_dims, n_times=n_times)
        if sampling_rate is not None and not (is_number(sampling_rate) and sampling_rate > 0):
            raise InputError("sampling_rate", sampling_rate, "choose a number above 0, or None")
        params = dict(model_params or {})
        self._config = constructor_arguments(locals(), model_params=params)
        self.input_dims, self.causal, self.n_times = input_dims, False, n_times
        self.receptive_field = 2 * n_times - 1
        known = braindecode_models()
        check_choice("braindecode model", model, known, error=ConfigError)
        sizes = {"n_chans": input_dims, "n_times": n_times, "n_outputs": 2, "sfreq": sampling_rate}
        self.network = _build(model, known[model], sizes, params)
        self._steps, self.output_dims, self._tokens = 1, 0, True
        self._remove_classifier(model)
        self.stride = math.ceil(n_times / self._steps)

    def _remove_classifier(self, model: str) -> None:
        """Put the classifier out of its place and measure what it was given."""
        head = getattr(self.network, "final_layer", None)
        if not isinstance(head, nn.Module):
            raise ConfigError("braindecode model", model, "it has no final_layer to leave out")
        heads = list(head) if isinstance(head, nn.ModuleList) else [head]
        width = next((p.shape[1] for p in heads[0].parameters() if p.ndim > 1), None)
        kept = [_Passed() for _ in heads]
        self.network.final_layer = (
            nn.ModuleList(kept) if isinstance(head, nn.ModuleList) else kept[0]
        )
        if torch.empty(0).is_meta:
            return  # only shapes of weights are asked for
        x = torch.zeros(2, self.input_dims, self.n_times)
        try:
            # evaluation leaves running figures as they are
            with evaluating(self.network), torch.no_grad(), torch.random.fork_rng(devices=[]):
                shape = self._network_output(x).shape[1:]
        except Exception as error:  # networks raise many kinds for series they cannot take
            raise ConfigError(f"braindecode {model}", tuple(x.shape), str(error)) from error
        if len(shape) == 2 and shape[1] == width != shape[0]:
            self._steps, self.output_dims = int(shape[0]), int(shape[1])
        elif len(shape) > 1 and shape[0] == width and max(shape[1:]) == math.prod(shape[1:]):
            self._steps, self.output_dims, self._tokens = max(shape[1:]), int(shape[0]), False
        else:
            self.output_dims = math.prod(shape)

    def _network_output(self, x: Tensor) -> Tensor:
        """What the network gives without its classifier, the first of several."""
        out: Any = self.network(x)
        while not isinstance(out, Tensor):
            out = next(iter(out.values() if isinstance(out, Mapping) else out))
        return out

    def output_length(self, length: int) -> int:
        """Embeddings T' of a series of ``n_times`` steps.

        Raises:
            InputError: another number of steps.
        """
        if length != self.n_times:
            raise InputError("x", f"{length} steps", f"the encoder was built for {self.n_times}")
        return self._steps

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, n_times, C) to (B, T', D); see :class:`tscl.encoders.base.Encoder`.

        Raises:
            InputError: another shape, or a mask per latent channel.
        """
        if mask is not None and mask.ndim != 2:
            raise InputError("mask", tuple(mask.shape), "pass (B, T): the latent is not known")
        series, keep = mask_series(x, mask, self.input_dims)
        self.output_length(x.shape[1])
        out = self._network_output((series * keep.to(series.dtype)).squeeze(2).contiguous())
        if self._tokens:
            return out.reshape(len(x), self._steps, self.output_dims)
        return out.reshape(len(x), self.output_dims, self._steps).transpose(1, 2).contiguous()


def _build(
    name: str, network: type[nn.Module], sizes: Mapping[str, Any], params: Mapping[str, Any]
) -> nn.Module:
    """The network with checked arguments; sizes it does not know are left out."""
    known = {
        key: parameter
        for key, parameter in inspect.signature(network.__init__).parameters.items()
        if key != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    free = [key for key in known if key not in _OWN]
    given = dict(params)
    for key, value in params.items():
        if key not in free:
            raise ConfigError(f"braindecode {name}.{key}", value, nearest(str(key), free))
        if isinstance(value, str) and isinstance(known[key].default, type):
            layer = getattr(nn, value, None)
            if not (isinstance(layer, type) and issubclass(layer, nn.Module)):
                remedy = "name a layer of torch.nn, such as ELU"
                raise ConfigError(f"braindecode {name}.{key}", value, remedy)
            given[key] = layer
    given |= {key: v for key, v in sizes.items() if key in known and v is not None}
    cause: Exception
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return network(**given)
        except Exception as error:  # networks raise many kinds for sizes they cannot have
            cause = error
        if torch.empty(0).is_meta:  # some compute with their weights while they are built
            try:
                with torch.device("cpu"):
                    return network(**given)
            except Exception as error:
                cause = error
    raise ConfigError(f"braindecode {name}", {**sizes, **params}, str(cause)) from cause
