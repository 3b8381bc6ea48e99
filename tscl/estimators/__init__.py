"""scikit-learn and sktime adapters."""

from tscl.estimators.anomaly import ContrastiveAnomalyDetector
from tscl.estimators.classifier import ContrastiveClassifier
from tscl.estimators.clustering import ContrastiveClusterer
from tscl.estimators.continual import ContinualTransformer
from tscl.estimators.retrieval import PatientRetrieval
from tscl.estimators.transformer import AutoTCL, ContrastiveTransformer, Representation

__all__ = [
    "AutoTCL",
    "ContinualTransformer",
    "ContrastiveAnomalyDetector",
    "ContrastiveClassifier",
    "ContrastiveClusterer",
    "ContrastiveTransformer",
    "PatientRetrieval",
    "Representation",
]
