"""The cluster's machines: what state they are in, and what can be done to them."""
