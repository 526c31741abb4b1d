"""How long a thing takes and how that is said: no Ansible inside, times in seconds."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Say a duration as a person would: ``8s``, ``1m10s``, ``2h05m``.

    Args:
        seconds: The duration in seconds; below zero counts as zero.
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def about(seconds: float) -> str:
    """Say an estimate no more precisely than it is known: to 5 s below a minute, else to 10 s.

    Args:
        seconds: The estimate in seconds.
    """
    step = 5 if seconds < 60 else 10
    return duration(max(step, round(seconds / step) * step))


def seconds_left(elapsed_s: float, expected_s: float) -> float:
    """Estimate how long a command still takes.

    Args:
        elapsed_s: How long it has taken.
        expected_s: How long it was expected to take.

    Returns:
        Seconds, never negative; of one that is overdue by much, not that it ends this instant.
    """
    return expected_s - elapsed_s if elapsed_s < expected_s else elapsed_s * 0.1
