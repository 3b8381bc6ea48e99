"""Label fractions, fine-tuning, votes and paired differences on clinical data."""
