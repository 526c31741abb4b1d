"""Steps that need each other: as many at once as may be, and how long the rest takes. No Ansible inside."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.failover_lab.lab.plugins.plugin_utils import running

#: Of a step that runs never more than this share counts as done: it may be late.
RUNNING_SHARE = 0.95
#: So many expected seconds count as done at the expected speed before the first measurement: one quick first
#: step must not promise a quick rest.
PRIOR_S = 15.0
#: A kind that every step is of, whatever its own.
ALL = "all"


@dataclass(frozen=True)
class Step:
    """One command of a whole.

    Attributes:
        name: What other steps need it by.
        label: What it makes, in the words of the user.
        argv: The command and its arguments.
        environment: What it has besides this process' environment.
        chdir: The directory that it runs in.
        log: The file for all that it says.
        needs: The names of the steps that have to be done before.
        nice: How far it stands back for the others, as nice(1) has it.
        kind: Of some kinds only so many run at once.
        expected_s: Its share of the time that the whole is expected to take, in seconds.
        done: What it makes is there already.
    """

    name: str
    label: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    chdir: str | None = None
    log: str | None = None
    needs: Sequence[str] = ()
    nice: int = 0
    kind: str = ""
    expected_s: float = 1.0
    done: bool = False


class StepError(Exception):
    """A step failed, and those that ran beside it were ended.

    Attributes:
        step: Which one.
        outcome: How it ended; None if it could not be started.
    """

    def __init__(self, step: Step, outcome: running.Outcome | None, why: str = "") -> None:
        """Remember what there is to say."""
        super().__init__(why)
        self.step, self.outcome = step, outcome


class Plan:
    """What is done, what runs, what is left, and for how long.

    Args:
        steps: In the order in which they are started where several could be.
        at_once: How many of a kind may run at once.

    Raises:
        ValueError: Two have one name, or one needs a step that does not stand before it.
    """

    def __init__(self, steps: Sequence[Step], at_once: Mapping[str, int]) -> None:
        """Nothing runs yet."""
        self._at_once = at_once
        self._done: set[str] = set()
        self._worked_s: defaultdict[str, float] = defaultdict(float)
        #: Those that are not done as it begins.
        self.steps = [step for step in steps if not step.done]
        self.waiting = list(self.steps)
        self.running: list[Step] = []
        known: set[str] = set()
        for step in steps:
            if step.name in known:
                raise ValueError(f"there are two steps {step.name}")
            if strange := sorted(set(step.needs) - known):
                raise ValueError(f"{step.name} needs {strange[0]}, which does not stand before it")
            known.add(step.name)
            if step.done:
                self._done.add(step.name)

    @property
    def count(self) -> int:
        """How many are done by now."""
        return len(self.steps) - len(self.waiting) - len(self.running)

    def next(self) -> Step | None:
        """The first step that may start now: all that it needs is done, and of its kind not too many run."""
        busy = Counter(step.kind for step in self.running) + Counter({ALL: len(self.running)})
        full = {kind for kind, limit in self._at_once.items() if busy[kind] >= limit}
        free = (step for step in self.waiting if not full & {step.kind, ALL})
        return next((step for step in free if self._done.issuperset(step.needs)), None)

    def start(self, step: Step) -> None:
        """It runs from now on."""
        self.waiting.remove(step)
        self.running.append(step)

    def end(self, step: Step) -> None:
        """It is done."""
        self.running.remove(step)
        self._done.add(step.name)

    def work(self, seconds: float, elapsed_s: float) -> None:
        """Those that run have shared so much time.

        Args:
            seconds: How much.
            elapsed_s: How long ago the first was started.
        """
        slowness = self._slowness(elapsed_s - seconds)
        for step in self.running:
            worked_s = self._worked_s[step.name] + seconds / len(self.running) / slowness
            self._worked_s[step.name] = min(worked_s, step.expected_s * RUNNING_SHARE)

    def left_s(self, elapsed_s: float) -> float:
        """About how long the rest takes, at the speed of what was done so far."""
        return sum(map(self._left_s, self.steps)) * self._slowness(elapsed_s)

    def _left_s(self, step: Step) -> float:
        return 0.0 if step.name in self._done else step.expected_s - self._worked_s[step.name]

    def _slowness(self, elapsed_s: float) -> float:
        worked_s = sum(step.expected_s - self._left_s(step) for step in self.steps)
        return (elapsed_s + PRIOR_S) / (worked_s + PRIOR_S)


def run(
    plan: Plan,
    *,
    interval_s: float = 10.0,
    tick: Callable[[float], None] = lambda _elapsed_s: None,
    done: Callable[[float, Step, running.Outcome], None] = lambda _elapsed_s, _step, _outcome: None,
) -> None:
    """Run all steps of a plan that are not done.

    Args:
        plan: Knows at any time what runs and what is left.
        interval_s: How long at most between two ticks, in seconds.
        tick: Called with the seconds since the start.
        done: Called when a step is done, with the same and with how it ended.

    Raises:
        StepError: A step failed; the others are ended.
        Interrupted: This process got SIGINT, SIGTERM or SIGHUP; the steps are ended.
        Orphaned: This process' parent is gone; the steps are ended.
    """
    start = last = time.monotonic()
    next_tick = start + interval_s
    with contextlib.ExitStack() as logs, running.Commands() as commands:
        steps: dict[running.Command, Step] = {}
        while True:
            while step := plan.next():
                log = logs.enter_context(running.open_log(step.log, step.argv))
                steps[_start(commands, step, log)] = step
                plan.start(step)
            if not plan.running:
                return
            if commands.orphaned:
                raise running.Orphaned
            if time.monotonic() >= next_tick:
                tick(time.monotonic() - start)
                next_tick = time.monotonic() + interval_s
            ended = commands.wait(next_tick - time.monotonic())
            now = time.monotonic()
            plan.work(now - last, now - start)
            last = now
            for command in ended:
                step, outcome = steps[command], command.outcome()
                if outcome.rc != 0:
                    raise StepError(step, outcome)
                plan.end(step)
                done(now - start, step, outcome)


def _start(commands: running.Commands, step: Step, log: running.Log) -> running.Command:
    def start() -> running.Command:
        environment = os.environ | dict(step.environment)
        command = running.Command(step.argv, environment=environment, chdir=step.chdir, log=log)
        if step.nice:
            command.stand_back(step.nice)
        return command

    try:
        return commands.start(start)
    except OSError as error:
        raise StepError(step, None, str(error)) from error
