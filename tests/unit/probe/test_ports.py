"""Source ports: which, in which order, and what others may do with them."""

from __future__ import annotations

import contextlib
import errno
import json
import random
import socket
from pathlib import Path

import pytest

from failover_lab import cli
from failover_lab.probe import ports
from failover_lab.probe.ports import Ports


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ports, "_SYSTEM", tmp_path)
    return tmp_path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three ports that nobody uses, nor will: the kernel gives others to whoever connects meanwhile."""
    socks: list[socket.socket] = []
    for port in random.sample(range(20000, 30000), 100):
        with contextlib.suppress(OSError):
            socks.append(socket.create_server(("127.0.0.1", port)))
        if len(socks) == 3:
            break
    found = sorted(sock.getsockname()[1] for sock in socks)
    for sock in socks:
        sock.close()
    monkeypatch.setattr(ports, "usable", lambda avoid: [port for port in found if port not in avoid])
    return found


def bound(source: Ports) -> tuple[socket.socket, int]:
    sock = socket.socket()
    return sock, source.bind(sock)


def test_all_but_the_reserved_ones(system: Path) -> None:
    assert list(ports.usable()) == list(range(1024, 65536))
    (system / "ip_unprivileged_port_start").write_text("80\n")
    (system / "ip_local_reserved_ports").write_text("\n")
    assert list(ports.usable()) == list(range(1024, 65536))
    (system / "ip_unprivileged_port_start").write_text("2000\n")
    (system / "ip_local_reserved_ports").write_text("8080,30000-65535\n")
    assert list(ports.usable([2001])) == [2000, *range(2002, 8080), *range(8081, 30000)]


def test_round_and_round_in_order(few: list[int]) -> None:
    source = Ports(socket.AF_INET, 1.0, 0, 0.0)
    for _ in range(2):
        for port in few:
            sock, given = bound(source)
            assert given == port == sock.getsockname()[1]
            sock.close()
    assert source.rest_s == 3.0


def test_the_next_run_goes_on_where_this_one_would_be(few: list[int]) -> None:
    for seconds in range(6):
        sock, port = bound(Ports(socket.AF_INET, 2.0, 0, 100.0 + seconds / 2))
        assert port == few[(200 + seconds) % 3]
        sock.close()


def test_ports_in_use_are_left_out_until_they_are_free(few: list[int]) -> None:
    with socket.create_server(("127.0.0.1", few[0])):
        source = Ports(socket.AF_INET, 1.0, 0, 0.0)
        found = [bound(source) for _ in range(3)]
        # The third time round none is left, and the system has to choose.
        assert [port for _, port in found] == [few[1], few[2], 0]
    for sock, _ in found:
        sock.close()


def test_the_servers_own_port_is_none_to_come_from(few: list[int]) -> None:
    source = Ports(socket.AF_INET, 1.0, few[1], 0.0)
    found = [bound(source) for _ in range(2)]
    assert [port for _, port in found] == [few[0], few[2]]
    for sock, _ in found:
        sock.close()


def test_a_port_whose_connection_is_not_over_is_not_used_again(few: list[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = Ports(socket.AF_INET, 1.0, 0, 0.0)
        sock, port = bound(source)
        sock.connect(server.getsockname())
        # We close first, and so it is our side that waits in TIME_WAIT.
        sock.close()
        server.accept()[0].close()
        others = [bound(source) for _ in range(3)]
        assert port not in [given for _, given in others]
        for other, _ in others:
            other.close()


def test_others_may_listen_on_a_port_that_the_probe_comes_from(few: list[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock, port = bound(Ports(socket.AF_INET, 1.0, 0, 0.0))
        sock.connect(server.getsockname())
        socket.create_server(("127.0.0.1", port)).close()
        sock.close()


class Refusing:
    def __init__(self, number: int) -> None:
        self.number = number

    def bind(self, _address: object) -> None:
        raise OSError(self.number, "no")


def test_a_forbidden_port_is_passed_over_and_other_errors_are_not() -> None:
    source = Ports(socket.AF_INET, 1.0, 0, 0.0)
    assert source.bind(Refusing(errno.EACCES)) == 0  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no"):
        source.bind(Refusing(errno.ENOBUFS))  # type: ignore[arg-type]


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python knows no IPv6")
    sock = socket.socket(socket.AF_INET6)
    try:
        port = Ports(socket.AF_INET6, 1.0, 0, 0.0).bind(sock)
        assert sock.getsockname()[1] == port
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    finally:
        sock.close()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--rate", "200"], ("cycle", 322.6, False)),
        (["--rate", "2000"], ("cycle", 32.3, True)),
        (["--rate", "2000", "--source-ports", "system"], ("system", None, False)),
        (["--rate", "2000", "--connections", "reused"], ("cycle", None, False)),
    ],
)
def test_the_probe_tells_how_long_ports_rest(
    more: list[str],
    expected: tuple[str, float | None, bool],
    system: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    # Refused at once: nobody listens there any more, and none answered is status 1.
    assert cli.main(["probe", "--url", url, "--max-duration", "0.1", "--out", str(out), *more]) == 1
    about = json.loads((out / "probe.json").read_text())
    warned = "each source port is used again after 32 s" in capsys.readouterr().out
    assert (about["source_ports"], about["port_rest_s"], warned) == expected
