"""Splits in which no patient stands on two sides."""
