"""What the command conntrack says in a node, and how a node is heard by it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_lab.nodes.driver import DriverError
from failover_lab.trace.conntrack import Program, parse
from failover_lab.trace.event import END, NEW, Event

TARGETS = {("192.168.49.200", 80)}
# As conntrack 1.4.7 writes them.
MADE = (
    "    [NEW] tcp      6 120 SYN_SENT src=192.168.49.1 dst=192.168.49.200 sport=40001 dport=80 [UNREPLIED] "
    "src=10.244.1.17 dst=192.168.49.4 sport=8080 dport=19569"
)
FORGOTTEN = (
    "[DESTROY] tcp      6 src=192.168.49.1 dst=192.168.49.200 sport=40001 dport=80 "
    "src=10.244.1.17 dst=192.168.49.4 sport=8080 dport=19569 [ASSURED]"
)


def test_a_line_says_from_whom_and_to_which_pod() -> None:
    assert parse(MADE, TARGETS) == Event(NEW, "192.168.49.1", 40001, "10.244.1.17", 8080)
    assert parse(FORGOTTEN, TARGETS) == Event(END, "192.168.49.1", 40001, "10.244.1.17", 8080)


@pytest.mark.parametrize(
    "line",
    [
        MADE.replace("192.168.49.200", "192.168.49.201"),
        MADE.replace("dport=80 ", "dport=443 "),
        MADE.replace("tcp      6", "udp      17"),
        "conntrack v1.4.7 (conntrack-tools): 12 flow events have been shown.",
        "",
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert parse(line, TARGETS) is None


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Here:
    """A driver whose nodes are shells of this machine, with a command conntrack of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = f"{folder}:/usr/bin:/bin"
        self.started: list[subprocess.Popen[str]] = []

    def conntrack(self, script: str) -> None:
        path = self.folder / "conntrack"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def shell(self, _name: str, argv: list[str]) -> Any:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PATH": self.path},
        )  # fmt: skip
        self.started.append(process)
        return HereShell(process)


class HereShell:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def lines(self) -> Iterator[str]:
        assert self.process.stdout is not None
        yield from (line.rstrip("\n") for line in self.process.stdout)

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    driver = Here(tmp_path)
    yield driver
    for process in driver.started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def test_a_node_is_heard_until_its_program_ends(here: Here) -> None:
    here.conntrack(f"echo '{MADE}'; echo 'WARNING: We have hit ENOBUFS! We are losing events.' >&2")
    program = Program(here, "m02", TARGETS)  # type: ignore[arg-type]
    found: list[Event] = []

    def ended() -> bool:
        try:
            found.extend(program.read())
        except OSError:
            return True
        return False

    until(ended)
    assert found == [Event(NEW, "192.168.49.1", 40001, "10.244.1.17", 8080)]
    assert program.lost == 1
    program.close()


def test_it_leaves_no_program_in_the_node(here: Here) -> None:
    here.conntrack("exec sleep 60")
    program = Program(here, "m02", TARGETS)  # type: ignore[arg-type]
    assert program.read() == []
    program.close()
    until(lambda: here.started[0].poll() is not None)


def test_a_node_without_the_command_says_so(here: Here) -> None:
    for tool in ("sh", "cat"):
        (here.folder / tool).symlink_to(f"/bin/{tool}")
    here.path = str(here.folder)
    with pytest.raises(DriverError, match="m02 has no command conntrack"):
        Program(here, "m02", TARGETS)  # type: ignore[arg-type]


def test_one_that_ends_at_once_says_so(here: Here) -> None:
    here.shell = lambda *_: subprocess_that_ends(here)  # type: ignore[method-assign]
    with pytest.raises(DriverError, match=r"m02 (has ended|says nothing)"):
        Program(here, "m02", TARGETS)  # type: ignore[arg-type]


def subprocess_that_ends(here: Here) -> HereShell:
    process = subprocess.Popen(["true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.wait()
    here.started.append(process)
    return HereShell(process)


def test_only_the_one_address_is_asked_for(here: Here) -> None:
    """What else goes on in a busy node is not even told."""
    here.conntrack('echo "$*" >"$(dirname "$0")/asked"; exec sleep 60')
    program = Program(here, "m02", TARGETS)  # type: ignore[arg-type]
    until(lambda: (here.folder / "asked").exists() and (here.folder / "asked").read_text())
    program.close()
    asked = (here.folder / "asked").read_text()
    assert "-e NEW,DESTROY" in asked
    assert asked.endswith("--family=ipv4 --orig-dst=192.168.49.200\n")
