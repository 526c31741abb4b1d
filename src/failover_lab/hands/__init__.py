"""What is done by hand to a cluster: pods killed on purpose, a dead node's work given away by an operator."""
