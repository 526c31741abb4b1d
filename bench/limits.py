"""What was measured beside what is allowed, in a line, with yes or no."""

from __future__ import annotations


def judged(what: str, value: float, limit: float, unit: str = "") -> bool:
    """Print the line; whether the figure is within its limit."""
    well = value <= limit
    print(f"{what:40}{value:8.2f}{unit:3} at most {limit:g}{unit}: {'yes' if well else 'NO'}", flush=True)
    return well
