"""What the probe's own machine drops: counted, and told apart from what the site loses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failover_lab.probe import dropped
from failover_lab.report import summary

CONNTRACK = (
    "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop"
)


class Proc:
    """A /proc with these counters."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(dropped.CONNTRACK_MOST, "4000\n")
        self.conntrack(0, 0)

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def conntrack(self, *drops: int, of: str = "") -> None:
        rows = [f"{'0' * 8} " * 10 + f"{count:08x} 00000000" for count in drops]
        self.write(f"{of}net/stat/nf_conntrack", "\n".join([CONNTRACK, *rows]) + "\n")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_drops_are_counted_over_all_processors_and_those_before_are_not_ours(proc: Proc) -> None:
    proc.conntrack(0xFF, 1)
    watch = dropped.Dropped(100.0, proc.root)
    watch.look(101.0)
    assert watch.told() == []
    proc.conntrack(0x1FF, 0x11)
    watch.look(102.5)
    proc.conntrack(0x200, 0x11)
    watch.look(102.9)  # a moment after the last look: not yet
    watch.look(103.5)
    assert watch.told() == [
        {"what": "conntrack", "begin": 101.0, "end": 103.5, "packets": 0x100 + 0x10 + 1, "most": 4000}
    ]


def test_a_pause_parts_two_spells_and_the_last_look_is_at_once(proc: Proc) -> None:
    watch = dropped.Dropped(0.0, proc.root)
    proc.conntrack(3, 0)
    watch.look(1.0)
    for at in (2.0, 3.0, 4.0):
        watch.look(at)
    proc.conntrack(5, 0)
    watch.look(4.1, at_once=True)
    assert [(spell.begin, spell.end, spell.packets) for spell in watch.spells] == [
        (0.0, 1.0, 3),
        (4.0, 4.1, 2),
    ]


def test_a_node_on_this_machine_has_a_table_of_its_own(proc: Proc) -> None:
    proc.write("self/ns/net", "")
    for process in ("12", "345"):
        proc.write(f"{process}/ns/net", "")
        proc.conntrack(7, of=f"{process}/")
    (proc.root / "13/ns").mkdir(parents=True)
    (proc.root / "13/ns/net").hardlink_to(proc.root / "12/ns/net")
    proc.conntrack(1000, of="13/")  # the same network as that of 12: not counted twice
    watch = dropped.Dropped(0.0, proc.root)
    proc.conntrack(9, of="12/")
    proc.conntrack(2000, of="13/")
    watch.look(1.0)
    # One that ends takes its figures along.
    (proc.root / "345/net/stat/nf_conntrack").unlink()
    watch.look(2.0)
    assert [(spell.what, spell.packets) for spell in watch.spells] == [("conntrack", 2)]


@pytest.mark.parametrize(
    ("name", "before", "after", "what"),
    [
        (
            "net/stat/arp_cache",
            "entries table_fulls\n1 0000000a\n",
            "entries table_fulls\n1 0000000c\n",
            "neighbours",
        ),
        ("net/stat/ndisc_cache", "entries table_fulls\n1 0\n", "entries table_fulls\n1 2\n", "neighbours"),
        (
            "net/softnet_stat",
            "000f 00000001 0\n000f 00000001 0\n",
            "001f 00000002 0\n000f 00000002 0\n",
            "backlog",
        ),
        (
            "net/netstat",
            "TcpExt: SyncookiesSent TCPAbortOnMemory\nTcpExt: 1 5\nIpExt: X\nIpExt: 0\n",
            "TcpExt: SyncookiesSent TCPAbortOnMemory\nTcpExt: 1 7\nIpExt: X\nIpExt: 0\n",
            "memory",
        ),
    ],
)
def test_other_tables_of_the_kernel(proc: Proc, name: str, before: str, after: str, what: str) -> None:
    proc.write(name, before)
    watch = dropped.Dropped(0.0, proc.root)
    proc.write(name, after)
    watch.look(1.0)
    assert [(spell.what, spell.packets, spell.most) for spell in watch.spells] == [(what, 2, None)]


def test_a_kernel_that_tells_nothing(tmp_path: Path) -> None:
    watch = dropped.Dropped(0.0, tmp_path)
    watch.look(1.0)
    assert watch.told() == []
    assert dropped.conntrack_most(tmp_path) is None


def test_what_the_machine_dropped_is_not_the_site_s_loss(made_up: Any, tmp_path: Path) -> None:
    made_up.observed_drain()
    made_up.lose(3.0, 12.0, "connect_timeout", took=3.0)
    made_up.dropped = [("conntrack", 2.5, 15.0, 2700, 4000)]
    found = made_up.content()
    assert found["requests"]["failed"] == 0
    assert found["failures"] == []
    assert found["outage_s"]["longest"] == 0.0
    assert not found["verdict"]["passed"]
    assert not found["verdict"]["measured"]
    assert not any("were lost" in reason for reason in found["verdict"]["reasons"])
    first = found["verdict"]["reasons"][0]
    assert first.startswith(
        "not measured: this machine's own kernel dropped 2\u202f700 packets from 19:00:02 to 19:00:15, "
        "because its table of tracked connections was full (4\u202f000 are allowed); 900 requests that got "
    )
    assert "net.netfilter.nf_conntrack_max" in first
    told = summary.lines(found, tmp_path)
    assert told[0].startswith("Not measured: ")
    assert not any(line.startswith("Causes") for line in told)


def test_a_few_dropped_packets_do_not_explain_a_site_that_is_down(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.lose(3.0, 12.0, "connect_timeout", took=3.0)
    made_up.dropped = [("backlog", 2.5, 15.0, 20, None)]
    found = made_up.content()
    assert found["requests"]["failed"] == 900
    assert found["verdict"]["measured"]


def test_dropped_packets_that_cost_nothing_and_losses_at_another_time(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.dropped = [("conntrack", 2.5, 15.0, 20, 4000)]
    assert made_up.content()["verdict"]["passed"]
    made_up.lose(20.0, 20.5, "connect_timeout", took=3.0)
    made_up.lose(5.0, 5.1, "refused")
    found = made_up.content()
    assert found["verdict"]["measured"]
    assert found["requests"]["errors"] == {"connect_timeout": 50, "refused": 10}


@pytest.mark.parametrize(
    ("detail", "remedy"),
    [
        ("EADDRNOTAVAIL", "no source port was left: lower witness_rate"),
        ("EMFILE", "raise `ulimit -n`"),
        ("ENFILE", "raise fs.file-max"),
        ("ENOBUFS", "free memory"),
        ("EPERM", "a packet filter of this machine forbids it"),
    ],
)
def test_the_probe_s_own_errors_name_what_was_wanting(made_up: Any, detail: str, remedy: str) -> None:
    made_up.observed_drain()
    made_up.lose(3.0, 3.1, "probe_error", detail=detail)
    reasons = made_up.content()["verdict"]["reasons"]
    assert any(f"10 requests failed in the probe itself ({detail})" in reason for reason in reasons)
    assert any(remedy in reason for reason in reasons)
