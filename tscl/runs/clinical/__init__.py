"""The clinical job."""
