"""A run as it happens, and again afterwards: one page, fed by a server or by a finished run."""
