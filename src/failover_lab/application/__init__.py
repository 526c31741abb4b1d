"""The application that is given: what its image says of itself, how it is run, and why it does not start."""
