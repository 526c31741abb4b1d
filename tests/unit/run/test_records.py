"""A request is read back as it was written."""

from __future__ import annotations

import dataclasses
import gzip
import random
from pathlib import Path

import pytest

from failover_lab.errors import UserError
from failover_lab.run import instants, records
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


def rows_of(count: int) -> list[str]:
    return [
        records.row(dataclasses.replace(LOST if number % 3 else ANSWERED, number=number)).rstrip("\n")
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({6: "1,new"}, 8),
        ({6: ""}, 8),
        # Neither has as many fields as it should, and both together have.
        ({6: rows_of(1)[0] + ",x", 7: rows_of(1)[0].rpartition(",")[0]}, 8),
        ({9: records.row(ANSWERED).replace("41:40.25", "41:60.25")[:-1]}, 11),
        ({9: records.row(ANSWERED).replace("40.250000Z", "40,250000Z")[:-1]}, 11),
    ],
    ids=["short", "empty", "both", "no instant", "no fraction"],
)
def test_of_rows_that_are_read_at_once_the_wrong_one_is_named(
    tmp_path: Path, wrong: dict[int, str], named: int
) -> None:
    path = tmp_path / "r"
    lines = [wrong.get(at, row) for at, row in enumerate(rows_of(12))]
    path.write_bytes(gzip.compress("\n".join([records.HEADER, *lines, ""]).encode()))
    found: list[int] = []
    with pytest.raises(UserError, match=f"row {named} cannot be read"):
        found.extend(record.number for record in RecordFile(path).records())
    # What comes before it is read all the same.
    reader = RecordFile(path).records()
    assert [next(reader).number for _ in range(named - 2)] == list(range(1, named - 1))


def test_rows_of_both_widths_in_one_record_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r"
    lines = [row.rsplit(",", 2)[0] if at % 2 else row for at, row in enumerate(rows_of(6))]
    path.write_bytes(gzip.compress("\n".join([records.HEADER, *lines, ""]).encode()))
    found = list(RecordFile(path).records())
    assert [record.number for record in found] == [1, 2, 3, 4, 5, 6]
    assert {record.opened for record in found if record.number in {2, 4, 6}} == {None}


def test_instants_at_once_are_the_same_as_one_by_one() -> None:
    chance = random.Random(1)  # noqa: S311
    texts = [instants.text(chance.uniform(1e9, 2e9)) for _ in range(1000)]
    assert instants.parse_all(texts) == list(map(instants.parse, texts))
    others = [*texts[:3], "2026-11-23T19:00:00Z", "2026-11-23T20:00:00.5+01:00"]
    assert instants.parse_all(others) == list(map(instants.parse, others))
    assert instants.parse_all([]) == []
    # As long together as two good ones.
    for odd in ([texts[0][:-1], texts[1] + "0"], ["1969-01-01T00:00:00.000000Z"], [texts[0][:-1] + "X"]):
        with pytest.raises(ValueError, match=r"Invalid|no instant|no time zone"):
            instants.parse_all(odd)
