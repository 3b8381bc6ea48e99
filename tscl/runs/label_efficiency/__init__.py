"""AUROC against the share of labels: whole recordings, pretraining, probes, and what to beat."""
