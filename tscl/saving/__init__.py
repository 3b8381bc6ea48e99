"""Everything written and read back: tensors, encoders, cards, cells, exports."""
