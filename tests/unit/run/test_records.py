"""A request is read back as it was written."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import pytest

from failover_lab.errors import UserError
from failover_lab.run import records
from failover_lab.run.records import Outcome, Record, RecordFile, RecordWriter

ANSWERED = Record(
    number=1, kind="new", due=1795963300.25, connected=1795963300.250125, sent=1795963300.2505,
    done=1795963300.253, outcome=Outcome.OK, status=200, pod="site-a", node="lab-m02", local_port=40001,
    prior=0, late_ms=0.125, retransmits=2, detail="", opened=1795963300.250075, peer="192.168.49.200",
)  # fmt: skip
LOST = Record(
    number=2, kind="reused", due=1795963301.0, connected=None, sent=None, done=1795963304.0,
    outcome=Outcome.CONNECT_TIMEOUT, status=None, pod="", node="", local_port=None, prior=7, late_ms=0.0,
    retransmits=None, detail="ETIMEDOUT",
)  # fmt: skip


def test_the_lines_are_what_they_always_were() -> None:
    """Whatever has read them reads them still."""
    assert records.HEADER == (
        "number,connection_kind,due,connected,sent,done,outcome,status,pod,node,local_port,prior_requests,"
        "late_ms,retransmits,detail,opened,peer"
    )
    assert records.row(ANSWERED) == (
        "1,new,2026-11-29T14:41:40.250000Z,2026-11-29T14:41:40.250125Z,2026-11-29T14:41:40.250500Z,"
        "2026-11-29T14:41:40.253000Z,ok,200,site-a,lab-m02,40001,0,0.125,2,,"
        "2026-11-29T14:41:40.250075Z,192.168.49.200\n"
    )
    assert records.row(LOST) == (
        "2,reused,2026-11-29T14:41:41.000000Z,,,2026-11-29T14:41:44.000000Z,connect_timeout,,,,,7,0.000,,"
        "ETIMEDOUT,,\n"
    )


def test_columns_and_fields_are_in_one_order() -> None:
    assert list(records._COLUMNS) == [field.name for field in dataclasses.fields(Record)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r"
    writer = RecordWriter(path)
    writer.begin()
    reader = RecordFile(path)
    assert list(reader.records()) == []
    writer.write(records.row(ANSWERED))
    assert list(reader.records()) == [ANSWERED]
    writer.write(records.row(LOST) + records.row(ANSWERED))
    assert list(reader.records()) == [LOST, ANSWERED]
    writer.close()
    assert list(RecordFile(path).records()) == [ANSWERED, LOST, ANSWERED]
    assert gzip.decompress(path.read_bytes()).decode().splitlines()[0] == records.HEADER


def test_a_record_from_before_the_later_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r"
    before = len(records.COLUMNS) - len(records.LATER)
    lines = [records.HEADER, records.row(ANSWERED).rstrip("\n"), records.row(LOST).rstrip("\n")]
    cut = "".join(",".join(line.split(",")[:before]) + "\n" for line in lines)
    path.write_bytes(gzip.compress(cut.encode()))
    answered = dataclasses.replace(ANSWERED, opened=None, peer="")
    assert list(RecordFile(path).records()) == [answered, LOST]


def test_a_row_with_a_field_too_many_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "r"
    row = records.row(LOST).rstrip("\n") + ",x\n"
    path.write_bytes(gzip.compress(f"{records.HEADER}\n{row}".encode()))
    with pytest.raises(UserError, match="row 2 cannot be read"):
        list(RecordFile(path).records())
