"""What a file claims, checked before it is read."""
