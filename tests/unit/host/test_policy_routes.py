"""Rules that go before the main table: which of them take a network away, as VPNs write them."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.host import policy_routes, subnet

Object = dict[str, Any]

LAB = ipaddress.IPv4Network("192.168.49.0/24")
LOCAL = {"priority": 0, "src": "all", "table": "local"}
MAIN = {"priority": 32766, "src": "all", "table": "main"}
# As `ip -json rule` and `ip -json route show table all` print them.
TAILSCALE = {"priority": 5270, "src": "all", "table": "52"}
WIREGUARD: list[Object] = [
    {"priority": 32764, "src": "all", "table": "main", "suppress_prefixlen": 0},
    {"priority": 32765, "not": None, "src": "all", "fwmark": "0xca6c", "table": "51820"},
]


def by(rules: list[Object], *routes: Object) -> tuple[str, str] | None:
    in_main = {"dst": "192.168.49.0/24", "dev": "br-main"}
    return policy_routes.captured(LAB, [LOCAL, *rules, MAIN], [in_main, *routes])


def test_nothing_but_the_usual() -> None:
    assert by([]) is None
    assert policy_routes.captured(LAB, [], []) is None, "a machine without iproute2"


@pytest.mark.parametrize("dst", ["default", "192.168.0.0/16", "192.168.49.0/24", "192.168.49.7"])
def test_a_table_that_goes_before(dst: str) -> None:
    assert by([TAILSCALE], {"dst": dst, "dev": "tailscale0", "table": "52"}) == ("52", "tailscale0")


@pytest.mark.parametrize(
    "routes",
    [
        [],
        [{"dst": "10.0.0.0/8", "dev": "tailscale0", "table": "52"}],
        [{"dst": "default", "dev": "x", "table": "53"}],
        # Whatever else the table has, these it leaves to the others.
        [
            {"dst": "default", "dev": "tailscale0", "table": "52"},
            {"type": "throw", "dst": "192.168.49.0/24", "table": "52"},
        ],
    ],
    ids=str,
)
def test_a_table_that_has_no_way_there(routes: list[Object]) -> None:
    assert by([TAILSCALE], *routes) is None


def test_a_table_that_forbids_it() -> None:
    assert by([TAILSCALE], {"type": "blackhole", "dst": "192.168.0.0/16", "table": "52"}) == (
        "52",
        "blackhole",
    )


def test_the_lab_s_own_route_goes_before_a_vpn_for_everything() -> None:
    everything = {"dst": "default", "dev": "wg0", "table": "51820"}
    assert by(WIREGUARD, everything) is None
    assert by(WIREGUARD[1:], everything) == ("51820", "wg0"), "without the rule for what is nearer"


@pytest.mark.parametrize(
    "selector",
    [{"fwmark": "0x1"}, {"src": "10.0.0.7"}, {"iif": "eth1"}, {"dst": "10.0.0.0", "dstlen": 8}],
    ids=str,
)
def test_rules_for_other_packets(selector: Object) -> None:
    assert by([TAILSCALE | selector], {"dst": "default", "dev": "x", "table": "52"}) is None


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose VPN has the first of minikube's networks."""
    said = {
        "rule": [MAIN, TAILSCALE],
        "route": [{"dst": "192.168.48.0/20", "dev": "tailscale0", "table": "52"}],
    }

    def ip(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 0, json.dumps(said[words[3]]), "")

    monkeypatch.setattr(subprocess, "run", ip)


@pytest.mark.usefixtures("machine")
def test_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "route").write_text("Iface\n")
    monkeypatch.setattr(subnet, "ROUTES", tmp_path / "route")
    assert cli.main(["subnet", "--wanted="]) == 2
    said = capsys.readouterr().err
    assert (
        "minikube would take 192.168.49.0/24, which table 52 of this machine's routes sends through tail"
        in said
    )
    assert "Set cluster_subnet=192.168.67.0/24" in said
    assert cli.main(["subnet", "--wanted=192.168.50.0/24"]) == 2
    assert "table 52" in capsys.readouterr().err
    assert cli.main(["subnet", "--wanted=192.168.67.0/24"]) == 0


def test_a_machine_without_rules(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert policy_routes.rules() == policy_routes.routes() == []
    monkeypatch.setattr(subnet, "ROUTES", tmp_path / "none")
    assert cli.main(["subnet", "--wanted="]) == 0
    assert capsys.readouterr().out == "192.168.49.0/24\n"
