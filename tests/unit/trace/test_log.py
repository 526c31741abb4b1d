"""What a trace writes down, and how it is read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from failover_lab.errors import UserError
from failover_lab.run.layout import Run
from failover_lab.trace import log
from failover_lab.trace.event import END, NEW, Event

EVENTS = [Event(NEW, "192.168.49.1", 4000, "10.0.0.1", 8080), Event(END, "fd00::1", 4001, "fd00::2", 80)]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    writer = log.Writer(tmp_path)
    assert list(log.lines(tmp_path)) == []
    writer.add("m02", 1_700_000_000.25, 0.05, EVENTS)
    writer.flush()
    first = list(log.lines(tmp_path))
    writer.add("m03", 1_700_000_001.0, 0.1, EVENTS[:1])
    writer.add("m03", 1_700_000_002.0, 0.1, [])
    writer.close()
    assert writer.written == 3
    assert first == [
        log.Line(1_700_000_000.25, 0.05, "m02", "new", "192.168.49.1", 4000, "10.0.0.1", 8080),
        log.Line(1_700_000_000.25, 0.05, "m02", "end", "fd00::1", 4001, "fd00::2", 80),
    ]
    assert [line.node for line in log.lines(tmp_path)] == ["m02", "m02", "m03"]


def test_one_that_is_cut_off_gives_what_is_before_the_cut(tmp_path: Path) -> None:
    writer = log.Writer(tmp_path)
    for at in range(5):
        writer.add("m02", 1_700_000_000.0 + at, 0.05, EVENTS)
        writer.flush()
    writer.close()
    path = Run(tmp_path).connections
    path.write_bytes(path.read_bytes()[:-10])
    assert 8 <= len(list(log.lines(tmp_path))) < 10


def test_two_do_not_write_to_one_folder(tmp_path: Path) -> None:
    log.Writer(tmp_path).close()
    with pytest.raises(UserError, match="exists already; give --out a directory of its own"):
        log.Writer(tmp_path)


def test_where_it_cannot_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*trace.csv.gz: No such file"):
        log.Writer(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("one,two\n", "made by another version"),
        (log.HEADER + "\nno,line\n", "is damaged: 'no,line' is no line of a trace"),
    ],
)
def test_what_is_no_trace_is_an_error_in_one_line(tmp_path: Path, content: str, says: str) -> None:
    import gzip

    Run(tmp_path).connections.write_bytes(gzip.compress(content.encode()))
    with pytest.raises(UserError, match=says):
        list(log.lines(tmp_path))


def test_how_it_fared_is_read_back(tmp_path: Path) -> None:
    assert log.about(tmp_path) is None
    about = log.About(
        "http://192.168.49.200/whoami",
        ["192.168.49.1"],
        {"m02": "netlink", "m03": "conntrack"},
        [log.Span("m02", 1_700_000_000.0, 1_700_000_009.5), log.Span("m03", 1_700_000_001.0, None)],
        [log.Loss("m03", 1_700_000_002.0, 1_700_000_002.5)],
        {"m04": "its container is exited"},
        "",
        12,
    )
    Run(tmp_path).trace.write_text(json.dumps(about.as_json()))
    assert log.about(tmp_path) == about


@pytest.mark.parametrize(
    "content",
    ['{"spans": 7}', '{"spans": [{"node": "x"}]}', '{"by": []}', '{"written": "x"}', '{"spans": [3]}', "[]"],
)
def test_a_damaged_account_is_an_error_in_one_line(tmp_path: Path, content: str) -> None:
    Run(tmp_path).trace.write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        log.about(tmp_path)


def test_another_format_is_told(tmp_path: Path) -> None:
    Run(tmp_path).trace.write_text('{"format": 99}')
    with pytest.raises(UserError, match="is in format 99, and this version reads 1"):
        log.about(tmp_path)
