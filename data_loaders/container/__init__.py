"""The clinical container and what is done with it."""
