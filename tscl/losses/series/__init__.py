"""Losses over embeddings of every time step, (B, T, D)."""
