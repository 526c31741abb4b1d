"""How long a thing takes and how that is said: no Ansible inside, times in seconds."""

from __future__ import annotations

#: So many expected seconds count as done at the expected speed before the first measurement: one quick first
#: step must not promise a quick rest.
PRIOR_S = 15.0


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


def seconds_left(
    elapsed_s: float,
    *,
    expected_s: float,
    before_s: float = 0.0,
    done_expected_s: float = 0.0,
    total_expected_s: float | None = None,
) -> float:
    """Estimate how long the work still takes, scaled by the speed measured so far.

    Args:
        elapsed_s: How long the present step has taken.
        expected_s: How long the present step was expected to take.
        before_s: How long the steps before it took in fact.
        done_expected_s: How long they were expected to take.
        total_expected_s: How long all steps were expected to take; without it, this step is all there is.

    Returns:
        Seconds, never negative.
    """
    rest_s = 0.0 if total_expected_s is None else max(0.0, total_expected_s - done_expected_s - expected_s)
    slowness = (before_s + PRIOR_S) / (done_expected_s + PRIOR_S)
    step_left_s = expected_s * slowness - elapsed_s
    if step_left_s < 0:
        # Overdue: the step itself is evidence now, and what is overdue by much will not end this instant.
        slowness = (before_s + elapsed_s + PRIOR_S) / (done_expected_s + expected_s + PRIOR_S)
        step_left_s = elapsed_s * 0.1
    return max(0.0, step_left_s) + rest_s * slowness
