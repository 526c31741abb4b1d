"""How often nodes are looked at, and how long is waited for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How often to look and how long to wait, in seconds.

    Attributes:
        interval_s: between two looks while all is well. An ask on a connection that is kept costs a fraction
            of a millisecond, so five a second are not felt; the mean delay until a death is looked at is half
            of it.
        confirm: so many looks in a row must agree.
        ask_s: the longest wait for an answer while the engine says that the node runs. A kubelet needs about
            1 ms; a connection of TCP sends a lost packet again after 0.2 s at the earliest (Linux's
            TCP_RTO_MIN), so twice that lets one packet be lost and answered without a doubt being raised.
        fact_s: the same once the engine says that the container has ended or is paused. That is a statement,
            not a silence; the kubelet only has to bear it out, and a hundred times its usual answer is
            enough.
        pause_s: a paused container counts after so long. A process that has ended never comes back, a pause
            may be lifted at any moment (the engine itself pauses for `docker commit`).
        silence_s: nothing must have been heard of a node that is said to run for at least so long. The first
            packet of a connection is sent again after 1 s (RFC 6298): below that, one lost packet is a
            silence.
        late_s: a look in which this process itself woke up later than that does not count, since then the
            answers of others may be late for the same reason. Half of ask_s: the other half was truly waited.
        poll_s: between two questions to the engine and the API server while all is well.
        old_s: what the engine said longer ago does not count.
        return_s: between two looks whether a node that was given away is back.
        warm_s: between two rounds that keep several connections to the API server open. It closes one that
            was idle for 90 s (net/http's IdleTimeout there); a third of that leaves room for two rounds to
            fail.
    """

    interval_s: float = 0.2
    confirm: int = 2
    ask_s: float = 0.4
    fact_s: float = 0.1
    pause_s: float = 1.0
    silence_s: float = 1.0
    late_s: float = 0.2
    poll_s: float = 1.0
    old_s: float = 3.0
    return_s: float = 0.5
    warm_s: float = 30.0
