"""Other libraries' containers in and out."""
