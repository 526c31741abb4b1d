"""The witness: requests at a constant rate, each recorded."""
