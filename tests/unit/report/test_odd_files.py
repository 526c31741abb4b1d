"""Whatever a file of a run holds: a report, or an error in one line with status 2, and nothing else."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.made_up import MadeUpRun

from failover_lab import cli
from failover_lab.report import charts
from failover_lab.run import records

AT = "2026-11-23T19:00:30.000000Z"
FILES = ("run.json", "probe.json", "marks.jsonl", "events.jsonl", "requests.csv.gz")
#: What no field of any file is to hold, as it stands in a file.
ODD = (
    "null", "true", '"text"', '""', "-1", "0", "1.5", "1e999", "NaN", "-Infinity", "9" * 400, "9" * 5000,
    "[]", "{}", '["x"]', '{"x": null}', '"\\ud800"', '"\\u0000\\u001b[31m"',
    '"0001-01-01T00:00:00.000000Z"', "[" * 100_000,
)  # fmt: skip
# In `make test` this one stands for all.
QUICK = ('{"x": null}',)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = MadeUpRun(tmp_path_factory.mktemp("odd") / "run", begin=-12, end=36.1, rate=4.0, reused_rate=1.0)
    run.observed_kill()
    run.change(-3, "Lease", "lab-m02", stamped="2026-11-23T18:59:57.000000Z")
    run.change(3, "Event", "x", "ADDED", reason="nodeAssigned", message='announcing from node "lab"')
    run.change(-20, "Pod", "site-a", "LISTED", uid="uid-a", node="lab-m02", ready=True, deletion=None)
    run.dropped = [("conntrack", 1.0, 2.0, 5, 100)]
    return run.write()


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "draw", lambda _spec: "")


@pytest.fixture
def run(good: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir()
    for name in FILES:
        (directory / name).write_bytes((good / name).read_bytes())
    return directory


def report(directory: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """How a report of it ends, and its line on why there is none; nothing of it is left in between."""
    status = cli.main(["report", str(directory), *more])
    captured = capsys.readouterr()
    assert status in {0, 1, 2}, captured.err
    assert captured.err.count("\n") == (status == 2), captured.err
    assert not captured.err or captured.err.startswith("failover-lab: error: ")
    assert len(captured.err) < 1500
    assert not [path.name for path in directory.iterdir() if path.name.startswith(".")]
    return status, captured.err


def refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    status, why = report(directory, capsys)
    assert status == 2
    assert not (directory / "report.json").exists()
    return why


def rows(change: Callable[[list[str]], list[str]], directory: Path) -> None:
    lines = gzip.decompress((directory / "requests.csv.gz").read_bytes()).decode().splitlines()
    content = "".join(f"{line}\n" for line in change(lines))
    (directory / "requests.csv.gz").write_bytes(gzip.compress(content.encode("utf-8", "surrogateescape")))


def field(name: str, value: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        values = lines[5].split(",")
        values[records.COLUMNS.index(name)] = value
        return [*lines[:5], ",".join(values), *lines[6:]]

    return change


def added(name: str, line: str | bytes) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with (directory / name).open("ab") as file:
            file.write(line.encode() if isinstance(line, str) else line)
            file.write(b"\n")

    return change


def event(**facts: Any) -> Callable[[Path], None]:
    line = {"at": AT, "change": "MODIFIED", "name": "x", **facts}
    return added("events.jsonl", json.dumps({key: value for key, value in line.items() if value is not ...}))


def put(name: str, content: str | bytes) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def with_(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        content = json.loads((directory / name).read_text(encoding="utf-8")) | fields
        (directory / name).write_text(json.dumps(content), encoding="utf-8")

    return change


def a_folder(name: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        (directory / name).unlink()
        (directory / name).mkdir()

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (with_("run.json", errors=["bad \udcff byte"]), "damaged: a text in it has half of a character"),
        (with_("run.json", predicted_s={"address": float("nan")}), "NaN is no figure"),
        (with_("run.json", settings={"max_slowest_ms": float("inf")}), "Infinity is no figure"),
        (with_("run.json", settings={"max_slowest_ms": "500"}), "$.settings.max_slowest_ms: '500' is not"),
        (with_("run.json", fault={"kind": "bogus"}), "$.fault.kind: 'bogus' is not one of"),
        (put("run.json", "[" * 100_000), "run.json is damaged: it is nested too deeply"),
        (put("run.json", b"\xff\xfe"), "run.json is damaged"),
        (a_folder("run.json"), "cannot read"),
        (put("probe.json", '{"format": 1}'), "damaged: $: 'connect_timeout_s' is a required"),
        (put("probe.json", ""), "probe.json is damaged"),
        (with_("probe.json", new_rate="200"), "$.new_rate: '200' is not of type 'number'"),
        (with_("probe.json", new_rate=1e-300), "$.new_rate"),
        (with_("probe.json", new_rate=-1), "$.new_rate: -1 is less than"),
        (with_("probe.json", new_rate=True), "$.new_rate: True is not"),
        (with_("probe.json", dropped=[{"what": "x"}]), "$.dropped[0]"),
        (with_("probe.json", dropped=5), "$.dropped: 5 is not of type"),
        (with_("probe.json", reused_connections=None), "$.reused_connections"),
        (with_("probe.json", scheduling="fast"), "$.scheduling: 'fast' is not one of"),
        (with_("probe.json", recorded="many"), "$.recorded: 'many' is not"),
        (with_("probe.json", format="1" * 5000), "and this one reads format 1"),
        (put("run.json", "[]"), "run.json is damaged: it holds no object"),
        (added("marks.jsonl", "[" * 100_000), "is damaged in line 7: it is nested too deeply"),
        (added("marks.jsonl", "[[]]"), "in line 7: it holds no object"),
        (added("marks.jsonl", b"\xff\xfe"), "marks.jsonl is damaged in line 7"),
        (added("marks.jsonl", "a note of mine"), "marks.jsonl is damaged in line 7"),
        (added("marks.jsonl", '{"at": 5, "event": "x"}'), "is no mark ($.at: 5 is not of type 'string')"),
        (added("marks.jsonl", f'{{"at": "{AT}", "event": 5}}'), "is no mark ($.event: 5 is not"),
        (added("marks.jsonl", '{"at": "soon", "event": "x"}'), "is no mark (Invalid isoformat"),
        (added("marks.jsonl", '{"at": "0001-01-01T00:00:00Z", "event": "x"}'), "no instant of this time"),
        (added("marks.jsonl", f'{{"at": "{AT}", "event": "x", "reason": []}}'), "is no mark ($.reason"),
        (event(kind="EndpointSlice", endpoints=["x"]), "is no change ($.endpoints[0]: 'x' is not"),
        (event(kind="EndpointSlice", endpoints=[{"pod": 5}]), "is no change ($.endpoints[0].pod: 5 is not"),
        (event(kind="EndpointSlice", endpoints={"pod": "x"}), "is no change ($.endpoints:"),
        (event(kind="Lease", name="lab-m02", stamped="soon"), "is no change (Invalid isoformat"),
        (event(kind="Lease", name="lab-m02", stamped=5), "is no change ($.stamped: 5 is not"),
        (event(kind="Pod", name=5, uid="u", ready=True), "is no change ($.name: 5 is not of type 'string')"),
        (event(kind="Pod", uid={"a": 1}), "is no change ($.uid:"),
        (event(kind="Pod", node=["lab"]), "is no change ($.node:"),
        (event(kind="Node", ready=True), "is no change ($.ready: True is not"),
        (event(kind="Event", reason="nodeAssigned", message=5), "is no change ($.message: 5 is not"),
        (event(kind="Pod", change=...), "is no change ($: 'change' is a required property"),
        (event(kind=None), "is no change ($.kind: None is not"),
        (lambda d: rows(field("connection_kind", "other"), d), "row 6 cannot be read"),
        (lambda d: rows(field("outcome", "fine"), d), "row 6 cannot be read"),
        (lambda d: rows(field("due", "soon"), d), "row 6 cannot be read"),
        (lambda d: rows(field("due", "2026-11-23T19:00:00.0000٣0Z"), d), "is damaged after row"),
        (lambda d: rows(field("done", ""), d), "row 6 cannot be read"),
        (lambda d: rows(field("late_ms", "nan"), d), "row 6 cannot be read"),
        (lambda d: rows(field("late_ms", "1e999"), d), "row 6 cannot be read"),
        (lambda d: rows(field("number", "9" * 400), d), "row 6 cannot be read"),
        (lambda d: rows(field("local_port", "-1"), d), "row 6 cannot be read"),
        (lambda d: rows(field("pod", "\udcff"), d), "is damaged after row"),
        (put("requests.csv.gz", b"no gzip at all, and more than a head"), "requests.csv.gz is damaged"),
        (a_folder("requests.csv.gz"), "cannot read"),
    ],
)  # fmt: skip
def test_it_is_one_line(
    change: Callable[[Path], None], says: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run)
    assert says in refused(run, capsys)


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place of a JSON file that has a value of its own."""
    yield path
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from places(value, (*path, key))


def with_value(content: Any, path: tuple[Any, ...], raw: str) -> str:
    """A file that holds something else in this place."""
    content = copy.deepcopy(content)
    if not path:
        return raw
    within = content
    for key in path[:-1]:
        within = within[key]
    within[path[-1]] = "ANOTHER VALUE"
    return json.dumps(content).replace('"ANOTHER VALUE"', raw)


@pytest.mark.parametrize("name", FILES[:-1])
@pytest.mark.parametrize(
    "raw",
    [raw if raw in QUICK else pytest.param(raw, marks=pytest.mark.nightly) for raw in ODD],
    ids=lambda raw: raw[:12],
)
def test_whatever_stands_in_any_place(
    name: str, raw: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / name
    lines = path.read_text(encoding="utf-8").splitlines() if name.endswith("l") else [path.read_text()]
    seen = set()
    for number, line in enumerate(lines):
        content = json.loads(line)
        # Of each kind of line one will do.
        kind = (content.get("kind"), content.get("event"))
        if kind in seen:
            continue
        seen.add(kind)
        for place in places(content):
            odd = with_value(content, place, raw)
            path.write_text("\n".join([*lines[:number], odd, *lines[number + 1 :]]) + "\n", encoding="utf-8")
            report(run, capsys)


@pytest.mark.nightly
@pytest.mark.parametrize("column", records.COLUMNS)
def test_whatever_stands_in_a_row(
    column: str, run: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (
        "",
        "x",
        "-1",
        "0",
        "nan",
        "inf",
        "9" * 30,
        "ok",
        "1970-01-01T00:00:00.000000Z",
        "é",
        "\x1b[31m",
        "a,b",
    ):
        (run / "requests.csv.gz").write_bytes((good / "requests.csv.gz").read_bytes())
        rows(field(column, value), run)
        report(run, capsys)


def test_a_file_that_is_cut_off_or_gone(run: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in FILES:
        whole = (good / name).read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole) - 1):
            (run / name).write_bytes(whole[:length])
            report(run, capsys)
        (run / name).unlink()
        report(run, capsys)
        (run / name).write_bytes(whole)


def test_nothing_is_left_of_a_report_that_breaks_down(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_spec: object) -> str:
        return "\ud800"

    monkeypatch.setattr(charts, "draw", broken)
    assert cli.main(["report", str(run)]) == 3
    assert capsys.readouterr().err.startswith("failover-lab: error: this is a bug of failover-lab")
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_good_facts_stay_until_the_new_ones_are_known_to_be_good(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "run.json").read_bytes()
    for bad in ('{"schema_version": 1, "fault": {"kind": "bogus"}}', '{"schema_version": 2}', "{}"):
        status, why = report(run, capsys, "--facts", bad)
        assert status == 2
        assert "what is given for run.json is" in why
        assert (run / "run.json").read_bytes() == before
    folder = tmp_path / "new"
    for bad in ('{"schema_version": 2, "falt": {}}', '{"schema_version": 1, "falt": {}}'):
        assert cli.main(["facts", str(folder), bad]) == 2
        assert "what is given for run.json is" in capsys.readouterr().err
        assert not folder.exists()
    # A tool's message of bytes that are no text, as the play gives it on.
    told = json.dumps(json.loads(before) | {"errors": ["MARK"]}).replace("MARK", "bad \udcff byte")
    assert report(run, capsys, "--facts", told)[0] == 1
    assert json.loads((run / "run.json").read_bytes())["errors"] == ["bad ? byte"]


@pytest.mark.parametrize("recorded", [True, False])
def test_zeros_of_a_failed_power_after_the_last_rows(
    recorded: bool, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "requests.csv.gz"
    whole = path.read_bytes()
    found = list(records.RecordFile(path).records())
    if not recorded:
        with_("probe.json", recorded=None, ended=None)(run)
    for zeros in (16, 512, 1 << 20):
        path.write_bytes(whole + bytes(zeros))
        reader = records.RecordFile(path)
        assert list(reader.records()) == found
        assert (reader.zeros, reader.cut_off) == (zeros, False)
    assert report(run, capsys)[0] == (0 if recorded else 1)
    told = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert told["measurement"]["whole_record"] is recorded
    assert told["measurement"]["trouble"][0].startswith("requests.csv.gz ends in 1048576 zero bytes")
    assert "zero bytes, as a failure of the power" in (run / "summary.txt").read_text(encoding="utf-8")
    assert "zero bytes, as a failure of the power" in (run / "report.html").read_text(encoding="utf-8")


def test_zeros_of_a_failed_power_within_the_last_rows(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv.gz"
    run = MadeUpRun(tmp_path / "run", begin=-2, end=4, rate=100.0)
    whole = (run.write() / "requests.csv.gz").read_bytes()
    path.write_bytes(whole)
    found = list(records.RecordFile(path).records())
    for cut in range(100, len(whole) - 20, len(whole) // 60):
        path.write_bytes(whole[:cut] + bytes(4096))
        reader = records.RecordFile(path)
        read = list(reader.records())
        assert read == found[: len(read)]
        assert reader.zeros
        path.write_bytes(whole[:cut])
        assert len(list(records.RecordFile(path).records())) == len(read)
