"""A run's directory, read back: records, marks, events, and what the play wrote."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema

from failover_lab.errors import UserError
from failover_lab.faults import kinds
from failover_lab.report import instrument
from failover_lab.run import files, instants, layout, texts
from failover_lab.run.records import FORMAT, Record, RecordFile

if TYPE_CHECKING:
    from pathlib import Path


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
        whole: the record reaches to the end that the probe wrote down.
        name: of its vantage point; empty for the run's own.
    """

    about: dict[str, Any]
    records: list[Record]
    whole: bool
    name: str = ""


@dataclass
class RunData:
    """Everything that is known about a run.

    Attributes:
        play: what the play knew, None where it said nothing.
        probes: what each probe saw, the run's own first. The report goes by that one.
        directory: where it is; None: nowhere.
    """

    play: dict[str, Any] | None
    probes: list[ProbeData]
    marks: list[Mark] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    directory: Path | None = None

    @property
    def about(self) -> dict[str, Any]:
        """How the run's own probe was set, and how it ended."""
        return self.probes[0].about

    @property
    def records(self) -> list[Record]:
        """The requests of the run's own probe."""
        return self.probes[0].records

    @property
    def whole(self) -> bool:
        """Whether the run's own probe has recorded all that it asked."""
        return self.probes[0].whole

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
    """One of the package's JSON Schemas: ``run`` or ``report``."""
    text = (importlib.resources.files(__package__) / f"{name}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    fault = content["properties"]["fault"]["properties"]
    # The schemas list no kinds; whoever is asked for one has these.
    fault["kind"] |= {"enum": [*kinds.names(), *([None] if "null" in fault["kind"]["type"] else [])]}
    return content


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """What sees whether something is as one of them has it. That they are schemas is the tests' to see."""
    return jsonschema.Draft202012Validator(schema(name))


def _play(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content = files.read_json(path)
    version = content.get("schema_version")
    if version != 1:
        raise UserError(f"{path} is of version {version}, and this is version 1; report it with that version")
    error = next(iter(sorted(validator("run").iter_errors(content), key=str)), None)
    if error is not None:
        raise UserError(f"{path} is not as run.schema.json wants it: {error.json_path}: {error.message}")
    return content


def _about(path: Path) -> dict[str, Any]:
    content = files.read_json(path)
    found = content.get("format")
    if found != FORMAT:
        raise UserError(
            f"{path.parent} was made by failover-lab {content.get('version', '(unknown)')} in "
            f"format {found}, and this one reads format {FORMAT}; report it with that version"
        )
    return content


def _marks(path: Path) -> list[Mark]:
    result = []
    for entry in files.read_lines(path):
        try:
            at, event = instants.parse(entry["at"]), str(entry["event"])
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged: {entry} is no mark") from error
        result.append(Mark(at, event, {k: v for k, v in entry.items() if k not in {"at", "event"}}))
    return result


def _changes(path: Path) -> list[Change]:
    result = []
    for entry in files.read_lines(path):
        facts = dict(entry)
        try:
            at = instants.parse(facts.pop("at"))
            result.append(Change(at, facts.pop("kind"), facts.pop("change"), facts.pop("name"), facts))
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged: {entry} is no change") from error
    return result


def _probe(probe: layout.Probe) -> ProbeData:
    about = texts.plain(_about(probe.about))
    record_file = RecordFile(probe.records)
    records = sorted(record_file.records(), key=lambda record: record.due)
    records = instrument.apart(records, instrument.spells(about))
    whole = not record_file.cut_off and about.get("recorded") == len(records)
    return ProbeData(about, records, whole, probe.name)


def load(directory: Path) -> RunData:
    """Read a run's directory.

    Raises:
        UserError: it is none, it is another version's, or one of its files is damaged.
    """
    run = layout.Run(files.existing_directory(directory))
    # Here, once, for all who show it: messages of other programs are among it.
    play = texts.plain(_play(run.facts))
    changes = [
        dataclasses.replace(change, name=texts.plain(change.name), facts=texts.plain(change.facts))
        for change in _changes(run.events)
    ]
    return RunData(
        play=play,
        probes=[_probe(probe) for probe in run.probes()],
        marks=[
            dataclasses.replace(mark, event=texts.plain(mark.event), details=texts.plain(mark.details))
            for mark in _marks(run.marks)
        ],
        changes=changes,
        directory=directory,
    )
