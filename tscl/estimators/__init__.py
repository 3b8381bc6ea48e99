"""scikit-learn and sktime adapters."""

from tscl.estimators.anomaly import ContrastiveAnomalyDetector
from tscl.estimators.clustering import ContrastiveClusterer
from tscl.estimators.contrastive import ContrastiveTransformer
from tscl.estimators.contrastive_classifier import ContrastiveClassifier
from tscl.estimators.pretrained import AutoTCL, Representation
from tscl.estimators.retrieval import PatientRetrieval

__all__ = [
    "AutoTCL",
    "ContrastiveAnomalyDetector",
    "ContrastiveClassifier",
    "ContrastiveClusterer",
    "ContrastiveTransformer",
    "PatientRetrieval",
    "Representation",
]
