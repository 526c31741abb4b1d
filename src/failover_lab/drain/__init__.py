"""Emptying a node: evictions by the API, the disruption budgets respected, and an account of each."""
