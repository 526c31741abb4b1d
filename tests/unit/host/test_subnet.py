"""A network is refused if it is none, not private, too small, or routed elsewhere."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from failover_lab import cli
from failover_lab.host import subnet

# As Linux prints it: a default route, a /24, a /16, and a line that was cut short.
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
br-lab\t000010AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth1\t00
"""


@pytest.fixture(autouse=True)
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "route"
    path.write_text(ROUTES)
    monkeypatch.setattr(subnet, "ROUTES", path)
    return path


def test_routes_are_read_lowest_byte_first() -> None:
    assert subnet.parse_routes(ROUTES) == [
        ("eth0", ipaddress.IPv4Network("192.168.0.0/24")),
        ("br-lab", ipaddress.IPv4Network("172.16.0.0/16")),
    ]
    assert subnet.parse_routes("") == []


@pytest.mark.parametrize("wanted", ["192.168.70.0/24", "10.0.0.0/8", "172.17.0.0/16"])
def test_free(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["subnet", "--wanted", wanted]) == 0
    assert capsys.readouterr().out == "free\n"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("192.168.0.0/24", "this machine routes 192.168.0.0/24 through eth0"),
        # Overlaps count in both directions.
        ("192.168.0.0/16", "this machine routes 192.168.0.0/24 through eth0"),
        ("172.16.5.0/24", "this machine routes 172.16.0.0/16 through br-lab"),
        ("8.8.8.0/24", "must be a private network of /24 or larger"),
        ("192.168.70.0/25", "must be a private network of /24 or larger"),
        ("192.168.70.1/24", "is no IPv4 network"),
        ("fd00::/64", "is no IPv4 network"),
        ("lab", "is no IPv4 network"),
    ],
)
def test_refused(wanted: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["subnet", "--wanted", wanted]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said


def test_without_linux_the_engine_decides(routes: Path) -> None:
    routes.unlink()
    assert cli.main(["subnet", "--wanted", "192.168.0.0/24"]) == 0
