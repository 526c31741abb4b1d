"""Kinds of faults: whether one may be injected, and what it will cost."""
