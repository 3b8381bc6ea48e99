"""Encoders by name; see ``base`` for the contract."""

from tscl.encoders.base import ENCODERS, Encoder, EncoderLike
from tscl.encoders.braindecode import BraindecodeEncoder, braindecode_models
from tscl.encoders.cost import CoSTEncoder
from tscl.encoders.dilated import DilatedConvEncoder
from tscl.encoders.eegnet import EEGNetEncoder
from tscl.encoders.experts import ExpertsEncoder
from tscl.encoders.inception_time import InceptionTimeEncoder
from tscl.encoders.informer import InformerEncoder
from tscl.encoders.lstm import LSTMEncoder
from tscl.encoders.new_input import with_new_input
from tscl.encoders.read_out import ReadOutEncoder
from tscl.encoders.resnet1d import ResNet1dEncoder
from tscl.encoders.tcn import TCNEncoder
from tscl.encoders.time_frequency import TimeFrequencyEncoder
from tscl.encoders.transformer import TransformerEncoder

__all__ = [
    "ENCODERS",
    "BraindecodeEncoder",
    "CoSTEncoder",
    "DilatedConvEncoder",
    "EEGNetEncoder",
    "Encoder",
    "EncoderLike",
    "ExpertsEncoder",
    "InceptionTimeEncoder",
    "InformerEncoder",
    "LSTMEncoder",
    "ReadOutEncoder",
    "ResNet1dEncoder",
    "TCNEncoder",
    "TimeFrequencyEncoder",
    "TransformerEncoder",
    "braindecode_models",
    "with_new_input",
]
