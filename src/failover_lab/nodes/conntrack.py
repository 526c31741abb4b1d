"""Flows that a node's kernel still sends to pods that are gone."""

from __future__ import annotations

import re
from collections.abc import Collection

# kube-proxy gathers changes for up to 1 s (iptables.minSyncPeriod), and until it has written them, a new
# connection may still be sent to a dead pod and leave a half-open entry for 120 s, which the next one from
# the same port then meets. So entries are cleared at once and five times more within 2.5 s: 1 s for
# kube-proxy, 1 s in which a first packet is sent again, and half a second for the way of the news. Status 1
# of conntrack only says that there was nothing. What it says is told at the end: the docker package may lose
# what a program writes in its first moment.
_PROGRAM = r"""
said=$(for round in 0 1 2 3 4 5; do
    [ "$round" = 0 ] || sleep 0.5
    for address in "$@"; do conntrack -D -p tcp --reply-src "$address" 2>&1 >/dev/null; done
done)
echo "$said"
"""
_TOLD = re.compile(r"(\d+) flow entries have been deleted")


def argv(addresses: Collection[str]) -> list[str]:
    """What to run in a node to clear its flows to these addresses."""
    return ["sh", "-c", _PROGRAM, "sh", *sorted(addresses)]


def cleared(output: str) -> int | None:
    """How many entries it says were cleared; None: it says nothing of the kind."""
    counts = [int(count) for count in _TOLD.findall(output)]
    return sum(counts) if counts else None
