"""Contrastive objectives over embeddings, by name or object; see ``base`` for the contract."""

from tscl.losses.amcl import AdaptiveMultiHead
from tscl.losses.barlow_twins_vicreg import BarlowTwins, VICReg
from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, is_instance_loss
from tscl.losses.byol_simsiam import BYOL, SimSiam
from tscl.losses.cacr import CACR
from tscl.losses.coconut import ReplayContrast
from tscl.losses.combined import Combined
from tscl.losses.compactness import bounded_compactness, compactness_loss, sampled_compactness
from tscl.losses.contrastive_gap import ContrastiveGap
from tscl.losses.cwcl import CWCL
from tscl.losses.dcl import DCL, DCLW
from tscl.losses.diagnostics import (
    Penalty,
    alignment,
    negative_penalties,
    same_class_share,
    temperature_profile,
    tolerance,
    uniformity,
)
from tscl.losses.focal_supcon import FocalSupCon
from tscl.losses.genview import quality_weights
from tscl.losses.groco import GroupOrdering, soft_sort
from tscl.losses.hsic import HSIC
from tscl.losses.hydra import Hydra, PairGate
from tscl.losses.icnn_proto_triplet import ICNN, ProtoTriplet
from tscl.losses.infonce import InfoNCE, NTXent
from tscl.losses.isogclr import IndividualTemperature
from tscl.losses.m3col import M3Co
from tscl.losses.mann_whitney import MannWhitney, mann_whitney_loss
from tscl.losses.meow import Meow
from tscl.losses.metrix import Metrix
from tscl.losses.mixing_up import MixupContrast
from tscl.losses.mmd import MMD
from tscl.losses.mochi import HardNegativeMixing
from tscl.losses.moco import MoCo
from tscl.losses.multi_view import MVDHEL, MVInfoNCE
from tscl.losses.pamc import PamC
from tscl.losses.sepclr import SepCLR
from tscl.losses.series.comet import ObservationLoss, PairTerm, SampleLoss, hierarchical_contrast
from tscl.losses.series.hierarchical import HierarchicalContrastiveLoss
from tscl.losses.series.id_contrast import IdContrastLoss, same_id
from tscl.losses.series.local_infonce import LocalInfoNCE
from tscl.losses.supcon import SupCon
from tscl.losses.supremix import SupReMix

__all__ = [
    "BYOL",
    "CACR",
    "CWCL",
    "DCL",
    "DCLW",
    "HSIC",
    "ICNN",
    "LOSSES",
    "MMD",
    "MVDHEL",
    "AdaptiveMultiHead",
    "BarlowTwins",
    "Combined",
    "ContrastiveGap",
    "ContrastiveLoss",
    "Extra",
    "FocalSupCon",
    "GroupOrdering",
    "HardNegativeMixing",
    "HierarchicalContrastiveLoss",
    "Hydra",
    "IdContrastLoss",
    "IndividualTemperature",
    "InfoNCE",
    "LocalInfoNCE",
    "M3Co",
    "MVInfoNCE",
    "MannWhitney",
    "Meow",
    "Metrix",
    "MixupContrast",
    "MoCo",
    "NTXent",
    "ObservationLoss",
    "PairGate",
    "PairTerm",
    "PamC",
    "Penalty",
    "ProtoTriplet",
    "ReplayContrast",
    "SampleLoss",
    "SepCLR",
    "SimSiam",
    "SupCon",
    "SupReMix",
    "VICReg",
    "alignment",
    "bounded_compactness",
    "compactness_loss",
    "hierarchical_contrast",
    "is_instance_loss",
    "mann_whitney_loss",
    "negative_penalties",
    "quality_weights",
    "same_class_share",
    "same_id",
    "sampled_compactness",
    "soft_sort",
    "temperature_profile",
    "tolerance",
    "uniformity",
]
