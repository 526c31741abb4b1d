"""This machine: what it can do, and what on it is whose."""
