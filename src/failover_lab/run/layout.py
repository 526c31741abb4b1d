"""The one place that knows the names of the files of a run, and of a lab's state.

A run's folder is ``Run(directory)``; what a lab keeps from one run to the next is in ``Lab(directory)``. Each
file is an attribute of its folder: ``Run(directory).marks`` is the path of its marks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from failover_lab.errors import UserError

# What is asked of a cluster's own API.
READS, WRITES = API_KINDS = ("reads", "writes")


class File:
    """A file of a folder, by its name there.

    Attributes:
        name: of the file.
    """

    def __init__(self, name: str) -> None:
        """Only its name is known yet; in which folder it is, its folder says."""
        self.name = name

    @overload
    def __get__(self, folder: None, owner: type[Folder]) -> File: ...
    @overload
    def __get__(self, folder: Folder, owner: type[Folder]) -> Path: ...
    def __get__(self, folder: Folder | None, owner: type[Folder]) -> File | Path:
        """The path in a folder."""
        return self if folder is None else folder.directory / self.name


@dataclass(frozen=True)
class Folder:
    """A folder whose files have names.

    Attributes:
        directory: where it is.
    """

    directory: Path

    @classmethod
    def names(cls) -> dict[str, str]:
        """The name of each file, by its attribute."""
        return {key: file.name for key, file in vars(cls).items() if isinstance(file, File)}

    def paths(self) -> dict[str, str]:
        """The path of each file, by its attribute, and of the folder."""
        return {key: str(self.directory / name) for key, name in self.names().items()} | {
            "directory": str(self.directory)
        }


@dataclass(frozen=True)
class Probe(Folder):
    """What one probe writes.

    Attributes:
        name: of its vantage point; empty for the run's own, whose files are in the run's folder itself.
    """

    name: str = ""

    #: A line for each request.
    records = File("requests.csv.gz")
    #: How it was set, and how it ended.
    about = File("probe.json")
    #: How the requests fare; replaced several times a second.
    status = File("status.json")


@dataclass(frozen=True)
class Run(Folder):
    """The folder of a run."""

    #: What the play knew.
    facts = File("run.json")
    #: The steps of the play, and of whoever recovered the node.
    marks = File("marks.jsonl")
    #: The clock that all processes of the run share.
    clock = File("clock.json")
    #: What the cluster said.
    events = File("events.jsonl")
    #: How the observer fares.
    observer = File("observer.json")
    #: A line for each connection that a node's kernel has taken or forgotten.
    connections = File("trace.csv.gz")
    #: Which nodes were traced from when to when, and what of it was lost.
    trace = File("trace.json")
    #: How the watchdog of this run fares.
    watchdog = File("watchdog.json")
    #: Where the run can be watched, and by which process.
    live = File("live.json")
    #: Once it is there, the processes of the run end.
    stop = File("stop")
    report = File("report.json")
    page = File("report.html")
    junit = File("junit.xml")
    summary = File("summary.txt")
    #: The folders of further vantage points.
    vantage_points = File("probes")
    #: What was asked of the cluster's own API, in a folder each for reads and writes.
    api = File("api.asked")
    #: How whoever asks it fares.
    api_asker = File("api.asked.json")

    def probe(self, name: str = "") -> Probe:
        """The files of the probe at this vantage point; without a name, of the run's own."""
        return Probe(self.vantage_points / name if name else self.directory, name)

    def api_probe(self, name: str) -> Probe:
        """The files of what was asked of the API: ``reads`` or ``writes``."""
        return Probe(self.api / name, name)

    def probes(self) -> list[Probe]:
        """All probes of the run, its own first."""
        further = sorted(path.name for path in self.vantage_points.glob("*/"))
        return [self.probe(), *map(self.probe, further)]

    @property
    def latest(self) -> Path:
        """The link beside the folder that leads to the newest run's."""
        return self.directory.with_name("latest")


@dataclass(frozen=True)
class Lab(Folder):
    """What a lab keeps from one run to the next."""

    #: Which run is going on, or was interrupted.
    journal = File("journal.json")
    #: The same in the version before: read and closed, and never written any more.
    old_journal = File("run.json")
    #: The nodes that the watchdog has given away.
    watchdog_journal = File("watchdog.jsonl")
    #: How a watchdog fares that no run has started.
    watchdog = File("watchdog.json")
    #: Who is the lab's only watchdog.
    watchdog_lock = File("watchdog.lock")
    #: When nodes were last off for certain, by task files of the user's own.
    fences = File("fences.json")
    #: An operator has done what a run waits for.
    operator_done = File("operator-done")
    #: With which command the cluster was started; it is there once that has come to its end.
    cluster = File("cluster.json")
    #: The nodes that the lab has made.
    nodes = File("belongings.json")
    #: The network between pods, where the lab brings it.
    network = File("flannel.yaml")
    start_log = File("minikube-start.log")
    node_start_log = File("minikube-node-start.log")
    node_add_log = File("minikube-node-add.log")
    node_delete_log = File("minikube-node-delete.log")

    @classmethod
    def of(cls, lab: str) -> Lab:
        """That of the lab of this name, unless it was given another folder."""
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return cls(Path(base) / "failover-lab" / lab)


def may_point(directory: Path) -> None:
    """See that nothing else has the name of the link beside a run's directory, which need not be there yet.

    Raises:
        UserError: something has.
    """
    link = Run(directory).latest
    if os.path.lexists(link) and not link.is_symlink():
        raise UserError(f"{link} is no link; move it away: it is to lead to the newest run")
