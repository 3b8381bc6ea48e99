"""Encoders by name; see ``base`` for the contract."""

from tscl.encoders.base import ENCODERS, Encoder, EncoderLike
from tscl.encoders.cost import CoSTEncoder
from tscl.encoders.dilated import DilatedConvEncoder
from tscl.encoders.experts import ExpertsEncoder
from tscl.encoders.informer import InformerEncoder
from tscl.encoders.lstm import LSTMEncoder
from tscl.encoders.tcn import TCNEncoder
from tscl.encoders.transformer import TransformerEncoder

__all__ = [
    "ENCODERS",
    "CoSTEncoder",
    "DilatedConvEncoder",
    "Encoder",
    "EncoderLike",
    "ExpertsEncoder",
    "InformerEncoder",
    "LSTMEncoder",
    "TCNEncoder",
    "TransformerEncoder",
]
