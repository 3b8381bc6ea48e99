"""Pretraining methods by name; see ``base`` for how to add one."""

from tscl.methods.autotcl import AutoTCLMethod
from tscl.methods.base import METHODS, Method
from tscl.methods.byol import BYOL
from tscl.methods.clocs import CLOCS
from tscl.methods.coconut import Coconut
from tscl.methods.comet import COMETMethod
from tscl.methods.comet_levels import Level, default_levels
from tscl.methods.end_to_end.method import EndToEnd
from tscl.methods.knowledge import KnowledgeDistillation
from tscl.methods.mixing_up import MixingUp
from tscl.methods.moco_v3 import MoCoV3
from tscl.methods.paired import Paired
from tscl.methods.simclr import SimCLR
from tscl.methods.tf_c import TFC
from tscl.methods.ts2vec import TS2Vec
from tscl.methods.ts_tcc import TSTCC

__all__ = [
    "BYOL",
    "CLOCS",
    "METHODS",
    "TFC",
    "TSTCC",
    "AutoTCLMethod",
    "COMETMethod",
    "Coconut",
    "EndToEnd",
    "KnowledgeDistillation",
    "Level",
    "Method",
    "MixingUp",
    "MoCoV3",
    "Paired",
    "SimCLR",
    "TS2Vec",
    "default_levels",
]
