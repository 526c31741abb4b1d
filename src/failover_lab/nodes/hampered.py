"""What takes a part of what a node can do, and leaves it the rest: it goes on, and its users notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.nodes.driver import DriverError
from failover_lab.nodes.script import carried_out
from failover_lab.nodes.state import LOSS_PREFERENCE, PERIOD_US, PODS_GROUPS

if TYPE_CHECKING:
    import argparse

    from failover_lab.nodes.driver import Driver

# In the node's own network namespace, at the lowest layer, like the filter that drops all. Three instructions
# of classic BPF for every packet: load a random number (an ancillary load, of which any kernel with cls_bpf
# knows; not all have netem); at or above a bound, drop it (2 is TC_ACT_SHOT); below, leave it to whatever
# filter comes next (TC_ACT_UNSPEC). Given: interface, preference, bound.
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
# Its pods alone, all of them together: the kubelet renews its lease as ever. It goes with the node, if that
# is started anew. Somebody else's limit is left alone. Given: the quota.
_SLOW_DOWN = (
    PODS_GROUPS
    + r"""
group=$(pods_groups | head -n 1)
[ -n "$group" ] || { echo "it has no group of pods whose share of the processors could be limited"; exit 1; }
case $(limit "$group") in
    max\ * | -1\ * | *" $ours") ;;
    *) echo "its pods have a limit already, $(limit "$group")"; exit 1 ;;
esac
date +%s.%N
if [ -e "$group/cpu.max" ]; then
    echo "$1 $ours" >"$group/cpu.max"
else
    echo -1 >"$group/cpu.cfs_quota_us"
    echo "$ours" >"$group/cpu.cfs_period_us"
    echo "$1" >"$group/cpu.cfs_quota_us"
fi
[ "$(limit "$group")" = "$1 $ours" ] || { echo "its kernel made of the limit $(limit "$group")"; exit 1; }
"""
)
# The period is the kernel's own again, too.
_SPEED_UP = (
    PODS_GROUPS
    + r"""
for group in $(pods_groups); do
    case $(limit "$group") in max\ * | -1\ *) continue ;; *" $ours") ;; *) continue ;; esac
    if [ -e "$group/cpu.max" ]; then
        echo "max 100000" >"$group/cpu.max"
    else
        echo -1 >"$group/cpu.cfs_quota_us"
        echo 100000 >"$group/cpu.cfs_period_us"
    fi
done
"""
)


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
            f"{name} could not be made to drop packets ({error}): its kernel needs the modules sch_ingress "
            "and cls_bpf, and the node the command tc"
        ) from error


def drop_none(driver: Driver, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let all packets through again; a node that was started anew drops none, and stays as it is."""
    carried_out(driver, name, _DROP_NONE, options.interface, str(LOSS_PREFERENCE))
    return {}


def slow_down(driver: Driver, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Leave a node's pods a fraction of one processor, and everything else what it had.

    Raises:
        UserError: that cannot be done there.
    """
    try:
        quota = str(round(PERIOD_US * options.percent / 100))
        return {"at": float(carried_out(driver, name, _SLOW_DOWN, quota)[0])}
    except (DriverError, ValueError, IndexError) as error:
        raise UserError(
            f"{name} could not be slowed down ({error}): the node needs cgroups with the controller cpu, "
            "and its kernel CFS bandwidth (CONFIG_CFS_BANDWIDTH)"
        ) from error


def speed_up(driver: Driver, name: str, _options: argparse.Namespace) -> dict[str, Any]:
    """Leave a node's pods all the processors again; what somebody else has limited stays so."""
    carried_out(driver, name, _SPEED_UP)
    return {}
