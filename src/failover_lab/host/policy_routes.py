"""Which networks another table than the main one would take away: a VPN's, that goes before by a rule."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Object = dict[str, Any]

_TIMEOUT_S = 10.0
# What hangs on more than where a packet goes to: of such a rule it cannot be said that it holds.
_OTHER_SELECTORS = (
    "iif",
    "oif",
    "tos",
    "ipproto",
    "sport",
    "dport",
    "uid_start",
    "uid_range",
    "l3mdev",
    "tun_id",
)


def _asked(*words: str) -> list[Object]:
    """What iproute2 answers; nothing where there is none, or an old one."""
    try:
        done = subprocess.run(
            ["ip", "-json", "-4", *words], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        found: list[Object] = json.loads(done.stdout or "[]")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []
    return found


def rules() -> list[Object]:
    """The rules, in the order in which the kernel goes by them."""
    return sorted(_asked("rule", "show"), key=lambda rule: int(rule.get("priority") or 0))


def routes() -> list[Object]:
    """The routes of all tables."""
    return _asked("route", "show", "table", "all")


def _network(word: object) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network("0.0.0.0/0" if word == "default" else str(word), strict=False)
    except ValueError:
        return None


def _holds(rule: Object, wanted: ipaddress.IPv4Network) -> bool:
    """Whether a rule is for packets of this machine that go to the wanted network."""
    if any(name in rule for name in _OTHER_SELECTORS):
        return False
    there = True
    if "dst" in rule:
        to = _network(f"{rule['dst']}/{rule.get('dstlen', 32)}")
        there = to is not None and to.overlaps(wanted)
    # Packets bear no mark, and their source is not chosen yet.
    matches = there and "fwmark" not in rule and rule.get("src", "all") == "all"
    return not matches if "not" in rule else matches


def captured(
    wanted: ipaddress.IPv4Network, rules_: Sequence[Object], routes_: Sequence[Object]
) -> tuple[str, str] | None:
    """By which table, and through which interface, packets would go before the main table is asked.

    Args:
        wanted: a network that will be this machine's own, and so in its main table.
        rules_: of ``ip -json rule``, in their order.
        routes_: of ``ip -json route show table all``.
    """
    for rule in rules_:
        table = str(rule.get("table", ""))
        named = (rule.get(f"suppress_prefix{word}") for word in ("len", "length"))
        least = next((int(value) for value in named if value is not None), -1)
        if not _holds(rule, wanted) or table == "local":
            continue
        if table == "main":
            if wanted.prefixlen > least:
                return None
            continue
        best: tuple[int, Object] | None = None
        for route in routes_:
            to = _network(route.get("dst"))
            if str(route.get("table", "main")) != table or to is None or not to.overlaps(wanted):
                continue
            if to.prefixlen > least and (best is None or to.prefixlen > best[0]):
                best = (to.prefixlen, route)
        if best and best[1].get("type") != "throw":
            return table, str(best[1].get("dev") or best[1].get("type") or "nowhere")
    return None
