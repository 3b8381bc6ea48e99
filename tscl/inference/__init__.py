"""Encoding of long series, and streams."""

from tscl.inference.encode import CausalEmbeddings, encode, encode_causal
from tscl.inference.masked_distance import masked_distance
from tscl.inference.streaming import StreamingEncoder

__all__ = ["CausalEmbeddings", "StreamingEncoder", "encode", "encode_causal", "masked_distance"]
