"""``wait-steady`` and ``wait-answers``: wait for what the probe sees, and say what is missing."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab import arguments
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.run import files, instants, marks
from failover_lab.run.layout import Probe, Run
from failover_lab.run.records import Outcome, RecordFile
from failover_lab.trace.live import Answered
from failover_lab.waiting import until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from failover_lab.run.records import Record

_LOOK_EVERY_S = 0.1
# The probe renews its status several times a second; after so long it is dead or the machine far too busy.
_STALE_S = 5.0
# An answer that takes longer is worth a word.
_HANGS_S = 1.0


@dataclass(frozen=True)
class Look:
    """What one look at the probe found: what is missing (nothing: done) and a line of progress."""

    missing: list[str]
    progress: str


def wait(look: Callable[[], Look], timeout_s: float) -> list[str]:
    """Look until nothing is missing or the time is over; prints a line at least every 5 s.

    Returns:
        what was still missing at the end; empty means success.
    """
    return until(
        look,
        timeout_s,
        every_s=_LOOK_EVERY_S,
        over=lambda found: not found.missing,
        tell=lambda found: f"{found.progress}; waiting for {'; '.join(found.missing)}",
    ).missing


def _status(path: Path, who: str, now: float) -> dict[str, Any] | None:
    """The status of the probe or the observer; None where there is none yet.

    Raises:
        UserError: it is not running any more.
    """
    if not path.exists():
        return None
    status = files.read_json(path)
    with _whole(path):
        if status["state"] == "ended":
            why = status.get("trouble") or _end_reason(path.parent) or "start it again in a new directory"
            raise UserError(f"the {who} of {path.parent} has ended: {why}")
        age_s = now - instants.parse(status["updated"])
    if age_s > _STALE_S:
        raise UserError(f"the {who} of {path.parent} has not been heard of for {age_s:.0f} s; is it running?")
    return status


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What is read meanwhile is a status; whatever else stands in the file is damage, said in one line."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _end_reason(out: Path) -> str:
    """Why the probe ended, if that is a setting's doing."""
    about = Probe(out).about
    reason = str(files.read_json(about).get("end_reason") or "") if about.exists() else ""
    remedy = "a greater witness_max_duration_s (--max-duration) lasts longer"
    return f"{reason} is over; {remedy}" if reason.startswith("the hard bound") else ""


def _unlisted(out: Path, now: float) -> list[str]:
    """What the observer has yet to do before no change can escape it any more."""
    status = _status(Run(out).observer, "observer", now)
    if status is None:
        return ["the observer's first status"]
    with _whole(Run(out).observer):
        if status["state"] == "watching":
            return []
        why = f" ({status['trouble']})" if status.get("trouble") else ""
        return [f"the observer's lists of {', '.join(status['not_listed_yet'])}{why}"]


def _progress(status: dict[str, Any]) -> str:
    return f"{status['elapsed_s']:.0f} s, {status['sent']} requests, {status['failed']} failed"


@dataclass(frozen=True)
class SteadyState:
    """What to wait for.

    Attributes:
        window_s: for so long nothing may fail.
        pods: each of them must answer meanwhile.
        since: the window begins then at the earliest, in UTC seconds; None: with the first request.
        observed: the observer must have listed everything besides.
        untraced: no node's kernel says who answers; where answers do not either, no pod is waited for.
    """

    window_s: float
    pods: list[str]
    since: float | None = None
    observed: bool = False
    untraced: bool = False
    _answered: dict[str, tuple[Answered, dict[str, float]]] = field(default_factory=dict)

    def look(self, out: Path, clock: instants.Clock) -> Look:
        """Is it there by now?"""
        now = clock.now()
        looks = [self._at(probe, now, out) for probe in Run(out).probes()]
        missing = [what for look in looks for what in look.missing]
        return Look(missing + (_unlisted(out, now) if self.observed else []), looks[0].progress)

    def _traced(self, probe: Probe, out: Path) -> dict[str, float]:
        """When each pod gave its last answer that named nobody, by the trace."""
        if probe.name not in self._answered:
            self._answered[probe.name] = (Answered(out, probe), {})
        answered, last = self._answered[probe.name]
        last.update((name, record.done) for name, record in answered.new())
        return last

    def _at(self, probe: Probe, now: float, out: Path) -> Look:
        """Is it there as this probe sees it?"""
        status = _status(probe.status, "probe", now)
        if status is None:
            return Look(["the probe's first status"], "the probe is starting")
        with _whole(probe.status):
            return self._judge(status, probe, out)

    def _judge(self, status: dict[str, Any], probe: Probe, out: Path) -> Look:
        missing = []
        # What the probe has not yet told of is no part of the window, nor what may yet fail: a request that
        # hangs has neither failed nor been answered.
        updated = instants.parse(status["updated"])
        known, opened = updated, ""
        if status.get("oldest_open"):
            known = min(known, instants.parse(status["oldest_open"]))
            if status["in_flight"] and updated - known > _HANGS_S:
                opened = f"; {status['in_flight']} are open, one for {updated - known:.1f} s"
        spans = [status["elapsed_s"], status["since_last_failure_s"]]
        quiet = [span - (updated - known) for span in spans if span is not None]
        if self.since is not None:
            quiet.append(known - self.since)
        quiet_s = max(0.0, min(quiet))
        if quiet_s < self.window_s:
            missing.append(f"{self.window_s:g} s without a failure ({quiet_s:.1f} s so far{opened})")
        begin = known - self.window_s
        if self.since is not None:
            begin = max(begin, self.since)
        last = {name: instants.parse(pod["last"]) for name, pod in status["pods"].items()}
        if not set(self.pods) <= set(last):
            # The application does not say who it is: the nodes' kernels do.
            for name, at in self._traced(probe, out).items():
                last[name] = max(at, last.get(name, 0.0))
        nobody_says = self.untraced and not last
        silent = [pod for pod in self.pods if last.get(pod, 0.0) < begin and not nobody_says]
        if silent:
            missing.append(f"an answer of {', '.join(silent)} within {self.window_s:g} s")
        if status["last_ok"] is None or instants.parse(status["last_ok"]) < begin:
            missing.append("any answer")
        return Look(missing, _progress(status))


class AnswerWatch:
    """Finds each pod's first answer since an instant, in the record itself."""

    def __init__(
        self, out: Path, clock: instants.Clock, pods: list[str], since: float, *, untraced: bool = False
    ) -> None:
        """Nothing is read yet.

        Args:
            out: the run's directory.
            clock: its clock.
            pods: that must answer.
            since: the instant.
            untraced: no node's kernel says who answers; where answers do not either, any one will do.
        """
        self._untraced = untraced
        self._named = self._nameless = False
        self._clock = clock
        self._pods = pods
        self._since = since
        self._probes = [(probe, RecordFile(probe.records)) for probe in Run(out).probes()]
        self._out = out
        self._answered: list[Answered] = []
        self.first: dict[str, float] = {}

    def look(self) -> Look:
        """Read what is new in the record."""
        begun = [file for probe, file in self._probes if probe.records.exists()]
        for record in itertools.chain.from_iterable(file.records() for file in begun):
            if record.outcome is Outcome.OK:
                self._named = self._named or bool(record.pod)
                self._nameless = self._nameless or record.due >= self._since
                self._note(record.pod, record)
        self._look_at_the_trace()
        silent = [pod for pod in self._pods if pod not in self.first]
        nobody_says = self._untraced and self._nameless and not self._named
        if not silent or nobody_says:
            return Look([], "")
        # One that has ended says so; the line of progress is that of the run's own.
        now = self._clock.now()
        status, *_ = [_status(probe.status, "probe", now) for probe, _ in self._probes]
        with _whole(self._probes[0][0].status):
            told = _progress(status) if status else "the probe is starting"
        return Look([f"a first answer of {', '.join(silent)}"], told)

    def _note(self, pod: str, record: Record) -> None:
        if record.due >= self._since and pod in self._pods:
            self.first[pod] = min(record.done, self.first.get(pod, record.done))

    def _look_at_the_trace(self) -> None:
        """Where answers name nobody, the nodes' kernels say who gave them."""
        if len(self._answered) != len(self._probes):
            if not all(probe.records.exists() for probe, _ in self._probes):
                return
            self._answered = [Answered(self._out, probe) for probe, _ in self._probes]
        for answered in self._answered:
            for pod, record in answered.new():
                self._note(pod, record)


def add_parser(commands: arguments.Commands) -> None:
    """Add both commands to the command line."""
    steady = arguments.command(commands, "wait-steady", run_steady)
    answers = arguments.command(commands, "wait-answers", run_answers)
    for parser in (steady, answers):
        parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the run's directory")
        parser.add_argument(
            "--pods", type=arguments.names, default=[], metavar="A,B", help="pods that must answer"
        )
        arguments.add_seconds(parser, "--timeout", 120.0, low=0.1)
        parser.add_argument(
            "--untraced",
            action="store_true",
            help="no node's kernel is heard: where no answer says who gave it, wait for no pod",
        )
    begins = steady.add_mutually_exclusive_group()
    for group, needed in ((begins, False), (answers, True)):
        group.add_argument(
            "--since",
            type=marks.moment,
            required=needed,
            metavar="INSTANT|MARK",
            help="an instant, or the name of an event: when it was marked last",
        )
    begins.add_argument(
        "--mark-first", type=marks.event_name, metavar="MARK", help="mark this first, and begin with it"
    )
    steady.add_argument(
        "--observed", action="store_true", help="wait until the observer has listed everything, too"
    )
    steady.add_argument(
        "--mark",
        type=marks.event_name,
        action="append",
        default=[],
        metavar="MARK",
        help="mark this once it is steady; may be given several times",
    )
    seconds = arguments.number(0.1, 86400, " s")
    steady.add_argument("--for", type=seconds, default=10.0, metavar="S", dest="window", help="default 10")


def _instant(out: Path, since: float | str) -> float:
    return marks.instant_of(out, since) if isinstance(since, str) else since


def run_steady(options: argparse.Namespace) -> Answer:
    """Wait until nothing has failed for a while and every pod answers.

    Waits until there has been no failure for --for seconds and every given pod answered within that time,
    which begins with the first request, or with --since where that is later. Status 1, and a sentence
    saying what was missing, at the time-out.
    """
    out = files.existing_directory(options.out)
    clock = instants.shared_clock(out)
    since = None if options.since is None else _instant(out, options.since)
    if options.mark_first is not None:
        since = marks.append(out, [options.mark_first])
    state = SteadyState(options.window, options.pods, since, options.observed, options.untraced)
    missing = wait(lambda: state.look(out, clock), options.timeout)
    if missing:
        why = f"not steady after {options.timeout:g} s: still missing {'; '.join(missing)}"
        print(why)
        return no(why, changed=options.mark_first is not None)
    if options.mark:
        marks.append(out, options.mark)
    print(f"steady for {options.window:g} s")
    return Answer(changed=bool(options.mark or options.mark_first))


def run_answers(options: argparse.Namespace) -> Answer:
    """Wait until each of these pods has answered.

    Waits until every given pod has answered a request that was due since the given instant, and prints
    JSON: pod to its first answer's instant (lines of progress go before it).
    """
    out = files.existing_directory(options.out)
    watch = AnswerWatch(
        out,
        instants.shared_clock(out),
        options.pods,
        _instant(out, options.since),
        untraced=options.untraced,
    )
    missing = wait(watch.look, options.timeout)
    first = {pod: instants.text(at) for pod, at in sorted(watch.first.items())}
    why = f"not all answered within {options.timeout:g} s: still missing {'; '.join(missing)}"
    if missing:
        print(why)
    print(json.dumps(first))
    return no(why, {"first": first}) if missing else Answer({"first": first})
