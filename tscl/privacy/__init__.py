"""Membership tests and unlearning."""
