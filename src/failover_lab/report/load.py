"""A run's directory, read back: records, marks, events, and what the play wrote."""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema

from failover_lab.errors import UserError
from failover_lab.faults import kinds
from failover_lab.observe import resources
from failover_lab.report import instrument
from failover_lab.report.rows import Rows
from failover_lab.run import files, instants, layout, texts
from failover_lab.run.records import FORMAT, RecordFile

if TYPE_CHECKING:
    from pathlib import Path


# Of what is not as it should be.
_MOST_SHOWN = 300


@dataclass(frozen=True)
class Mark:
    """Something that the play did."""

    at: float
    event: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Something that the cluster said."""

    at: float
    kind: str
    change: str
    name: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class ProbeData:
    """What one probe saw.

    Attributes:
        about: how it was set, and how it ended.
        records: in the order of their due times; what the probe's own machine dropped is called its error.
            They are read in pieces, and none is kept as an object.
        whole: the record reaches to the end that the probe wrote down.
        name: of its vantage point; empty for the run's own.
        trouble: what went wrong beside the record, or at its end, in sentences; none of it costs a request.
    """

    about: dict[str, Any]
    records: Rows
    whole: bool
    name: str = ""
    trouble: list[str] = field(default_factory=list)


@dataclass
class RunData:
    """Everything that is known about a run.

    Attributes:
        play: what the play knew, None where it said nothing.
        probes: what each probe saw, the run's own first. The report goes by that one.
        directory: where it is; None: nowhere.
        api: what was asked of the cluster's own API, by ``layout.API_KINDS``, as far as it was.
        api_trouble: why it was not, or not to the end; empty: it was, or nobody meant to.
    """

    play: dict[str, Any] | None
    probes: list[ProbeData]
    marks: list[Mark] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    directory: Path | None = None
    api: dict[str, ProbeData] = field(default_factory=dict)
    api_trouble: str = ""

    @property
    def about(self) -> dict[str, Any]:
        """How the run's own probe was set, and how it ended."""
        return self.probes[0].about

    @property
    def records(self) -> Rows:
        """The requests of the run's own probe."""
        return self.probes[0].records

    @property
    def whole(self) -> bool:
        """Whether the run's own probe has recorded all that it asked."""
        return self.probes[0].whole

    @property
    def trouble(self) -> list[str]:
        """What went wrong beside the records, of all probes."""
        return [told for probe in self.probes for told in probe.trouble]

    def mark(self, event: str) -> float | None:
        """When this was first marked."""
        return next((m.at for m in self.marks if m.event == event), None)

    @property
    def settings(self) -> dict[str, Any]:
        """What the verdict goes by, defaults filled in."""
        defaults = {
            "steady_window_s": 10.0,
            "max_lost": 0,
            "max_slowest_ms": None,
            "max_skew": 1,
            "expected_replicas": None,
        }
        return defaults | ((self.play or {}).get("settings") or {})


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """One of the package's JSON Schemas: ``run``, ``report``, ``probe``, ``mark`` or ``change``."""
    text = (importlib.resources.files(__package__) / f"{name}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    if "fault" in content["properties"]:
        fault = content["properties"]["fault"]["properties"]
        # The schemas list no kinds; whoever is asked for one has these.
        fault["kind"] |= {"enum": [*kinds.names(), *([None] if "null" in fault["kind"]["type"] else [])]}
    return content


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """What sees whether something is as one of them has it. That they are schemas is the tests' to see."""
    return jsonschema.Draft202012Validator(schema(name))


def short(what: object) -> str:
    """Something that was found, for a message of one line."""
    text = " ".join(str(what).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def amiss(name: str, content: object, *, so_far: bool = False) -> str | None:
    """What is not as a schema wants it, and where; None: all is.

    Args:
        name: of the schema.
        content: to be judged by it.
        so_far: what is missing may yet come.
    """
    errors = [
        error
        for error in validator(name).iter_errors(content)
        if not (so_far and error.validator == "required")
    ]
    error = min(errors, key=lambda error: (str(error.json_path), error.message), default=None)
    return None if error is None else short(f"{error.json_path}: {error.message}")


def checked(content: dict[str, Any], what: object, *, so_far: bool = False) -> dict[str, Any]:
    """The same facts of a play.

    Args:
        content: what run.json holds, or is to hold.
        what: how to call it.
        so_far: what is missing may yet come.

    Raises:
        UserError: they are not as the schema wants them.
    """
    version = content.get("schema_version", 1 if so_far else None)
    if version != 1:
        raise UserError(
            f"{what} is of version {short(version)}, and this is version 1; report it with that version"
        )
    if (why := amiss("run", content, so_far=so_far)) is not None:
        raise UserError(f"{what} is not as run.schema.json wants it: {why}")
    return content


def _play(path: Path) -> dict[str, Any] | None:
    return checked(files.read_json(path), path) if path.exists() else None


def _about(path: Path) -> dict[str, Any]:
    content = files.read_json(path)
    found = content.get("format")
    if found != FORMAT:
        raise UserError(
            f"{path.parent} was made by failover-lab {short(content.get('version', '(unknown)'))} in "
            f"format {short(found)}, and this one reads format {FORMAT}; report it with that version"
        )
    if (why := amiss("probe", content)) is not None:
        raise UserError(f"{path} is damaged: {why}")
    return content


def mark(path: Path, entry: dict[str, Any]) -> Mark:
    """A line of marks.jsonl, fit to be shown.

    Raises:
        UserError: it is none.
    """
    at = _instant(path, "mark", entry)
    details = {name: value for name, value in entry.items() if name not in {"at", "event"}}
    return Mark(at, texts.plain(entry["event"]), texts.plain(details))


def _instant(path: Path, what: str, entry: dict[str, Any]) -> float:
    """When it was, of an entry that is as the schema of this name wants it.

    Raises:
        UserError: it is not.
    """
    why = amiss(what, entry)
    if why is None:
        try:
            if entry.get("kind") == resources.LEASE and entry.get("stamped"):
                instants.parse(entry["stamped"])
            return instants.parse(entry["at"])
        except ValueError as error:
            why = short(error)
    raise UserError(f"{path} is damaged: {short(entry)} is no {what} ({why})")


def change(path: Path, entry: dict[str, Any]) -> Change:
    """A line of events.jsonl, fit to be shown.

    Raises:
        UserError: it is none.
    """
    at = _instant(path, "change", entry)
    # What the cluster left out is as if it were not there.
    facts = {name: texts.plain(value) for name, value in entry.items() if value is not None}
    del facts["at"]
    return Change(at, facts.pop("kind"), facts.pop("change"), facts.pop("name"), facts)


def _probe(probe: layout.Probe) -> ProbeData:
    about = texts.plain(_about(probe.about))
    record_file = RecordFile(probe.records)
    # Beside the record itself, of which it takes about the room once more.
    records = Rows(record_file.parts(), probe.directory)
    again = functools.partial(Rows.of, directory=probe.directory)
    records = instrument.apart(records, instrument.spells(about), again)
    whole = not record_file.cut_off and about.get("recorded") == len(records)
    trouble = list(about.get("trouble") or [])
    if record_file.zeros:
        trouble.append(
            f"{probe.records.name} ends in {record_file.zeros} zero bytes, as a failure of the power leaves "
            f"them; the {len(records)} requests before them were read"
        )
    return ProbeData(about, records, whole, probe.name, trouble)


def _trouble(path: Path) -> str:
    """What somebody who worked beside the run says there that went wrong; empty: nothing, or nobody did."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(texts.plain(told.get("trouble") or "")) if isinstance(told, dict) else ""


def load(directory: Path) -> RunData:
    """Read a run's directory.

    Raises:
        UserError: it is none, it is another version's, or one of its files is damaged.
    """
    run = layout.Run(files.existing_directory(directory))
    # Here, once, for all who show it: messages of other programs are among it.
    play = texts.plain(_play(run.facts))
    return RunData(
        play=play,
        probes=[_probe(probe) for probe in run.probes()],
        marks=[mark(run.marks, entry) for entry in files.read_lines(run.marks)],
        changes=[change(run.events, entry) for entry in files.read_lines(run.events)],
        directory=directory,
        api={
            kind: _probe(asked)
            for kind, asked in ((kind, run.api_probe(kind)) for kind in layout.API_KINDS)
            if asked.about.exists()
        },
        api_trouble=_trouble(run.api_asker),
    )
