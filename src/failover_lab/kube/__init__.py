"""The cluster: its API, and what is asked of it and done to it."""
