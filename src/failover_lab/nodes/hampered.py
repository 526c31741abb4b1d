"""What takes a part of what a node can do, and leaves it the rest: it goes on, and its users notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.nodes.driver import DriverError
from failover_lab.nodes.script import carried_out
from failover_lab.nodes.state import LOSS_PREFERENCE

if TYPE_CHECKING:
    import argparse

    from failover_lab.nodes.driver import Driver

# In the node's own network namespace, at the lowest layer, like the filter that drops all. Three instructions of
# classic BPF for every packet: load a random number (an ancillary load, of which any kernel with cls_bpf knows; not
# all have netem); at or above a bound, drop it (2 is TC_ACT_SHOT); below, leave it to whatever filter comes next
# (TC_ACT_UNSPEC). Given: interface, preference, bound.
_DROP_SOME = r"""
tc qdisc show dev "$1" | grep -q clsact || tc qdisc add dev "$1" clsact
date +%s.%N
for way in ingress egress; do
    tc filter add dev "$1" "$way" pref "$2" protocol all bpf da \
        bytecode "4,32 0 0 4294963256,53 0 1 $3,6 0 0 2,6 0 0 4294967295,"
done
"""
# Ours alone: what others have there stays, and the queue that holds such rules goes if it is empty then.
_DROP_NONE = r"""
for way in ingress egress; do tc filter del dev "$1" "$way" pref "$2" 2>/dev/null || true; done
tc qdisc show dev "$1" | grep -q clsact || exit 0
[ -n "$(tc filter show dev "$1" ingress; tc filter show dev "$1" egress)" ] || tc qdisc del dev "$1" clsact
"""
_RANDOM = 2**32


def bound(percent: float) -> int:
    """The random number of 32 bits at and above which a packet is dropped."""
    return min(_RANDOM - 1, round(_RANDOM * (1 - percent / 100)))


def drop_some(driver: Driver, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Drop a part of all packets at the node's own interface, each way and by chance.

    Raises:
        UserError: its kernel does not take that.
    """
    try:
        given = (options.interface, str(LOSS_PREFERENCE), str(bound(options.percent)))
        return {"at": float(carried_out(driver, name, _DROP_SOME, *given)[0])}
    except (DriverError, ValueError, IndexError) as error:
        raise UserError(
            f"{name} could not be made to drop packets ({error}): its kernel needs the modules sch_ingress and "
            "cls_bpf, and the node the command tc"
        ) from error


def drop_none(driver: Driver, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let all packets through again; a node that was started anew drops none, and stays as it is."""
    carried_out(driver, name, _DROP_NONE, options.interface, str(LOSS_PREFERENCE))
    return {}
