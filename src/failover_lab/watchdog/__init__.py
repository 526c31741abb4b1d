"""The watchdog: finds a dead node by two independent paths, fences it, gives its work away, takes it back."""
