"""The watchdog itself: look, judge, act, take back."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.nodes.driver import DriverError
from failover_lab.run import files
from failover_lab.watchdog import rights
from failover_lab.watchdog.act import GiveAway, Outcome
from failover_lab.watchdog.cluster import Api, member
from failover_lab.watchdog.giveback import GiveBack
from failover_lab.watchdog.journal import Journal, Phase
from failover_lab.watchdog.judge import Judge, State, Verdict
from failover_lab.watchdog.looking import Looker
from failover_lab.watchdog.policy import Member, why_not
from failover_lab.watchdog.sights import Reach

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Driver
    from failover_lab.nodes.pace import Pace
    from failover_lab.run.lifetime import StopCondition
    from failover_lab.watchdog.recorder import Recorder
    from failover_lab.watchdog.sights import Look

_STATUS_EVERY_S = 0.5
_FIRST_ANSWER_S = 10.0
# An attempt that failed for the engine or the disk is made again after so long.
_AGAIN_S = 2.0
# A node that is being given away is not left half done where a moment more will do.
_FINISH_S = 20.0


@dataclass(frozen=True)
class Settings:
    """What the user chose.

    Attributes:
        profile: the minikube profile.
        namespace: whose pods are given away.
        clear_flows: clear the other nodes' flows to the dead pods.
        status: where the state is written.
    """

    profile: str
    namespace: str
    clear_flows: bool
    status: Path


class Watchdog:
    """Watches one profile's nodes.

    Attributes:
        given_away: the nodes that have been given away, in order.
        looks: how many there were.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pace: Pace,
        api: Api,
        engine: Driver,
        recorder: Recorder,
        journal: Journal,
        stop: StopCondition,
        executor: concurrent.futures.ThreadPoolExecutor,
    ) -> None:
        """Nothing is asked yet; to be called where the loop runs."""
        self._settings = settings
        self._pace = pace
        self._engine = engine
        self._recorder = recorder
        self._journal = journal
        self._stop = stop
        self._executor = executor
        self._looker = Looker(
            pace=pace, api=api, engine=engine, executor=executor, namespace=settings.namespace
        )
        self._api = api
        self._taking = GiveBack(api=api, engine=engine, recorder=recorder, journal=journal, executor=executor)
        # Its predecessor had seen those alive and found them dead; whether they still are, two paths will say
        # again.
        unfinished = [node for node, phase in journal.phases.items() if phase is Phase.ACTING]
        self._judge = Judge(pace, seen=unfinished)
        self._looker.ids |= {node: journal.containers.get(node, "") for node in unfinished}
        self._out = {node for node, phase in journal.phases.items() if phase is not Phase.ACTING}
        self._members: dict[str, Member] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._look: Look | None = None
        self._acting: dict[str, asyncio.Task[Outcome]] = {}
        self._returning: asyncio.Task[None] | None = None
        self._missing: dict[str, str] = {}
        self._not_before: dict[str, float] = {}
        self._released: dict[str, float] = {}
        self._refused: dict[str, str] = {}
        self._complained = False
        self._next_return = 0.0
        self._next_status = 0.0
        self._writing: asyncio.Future[None] | None = None
        self.given_away: list[str] = []
        self.looks = 0

    async def run(self) -> None:
        """Watch until it is time to stop.

        Raises:
            UserError: the cluster does not answer at the beginning, or the engine knows none of its nodes.
        """
        self._looker.start()
        try:
            await self._begin()
            while self._stop.reason() is None:
                self._looker.check()
                await self._turn()
            if self._acting:
                await asyncio.wait({*self._acting.values()}, timeout=_FINISH_S)
                self._acted()
        finally:
            for task in (*self._acting.values(), self._returning):
                if task is not None:
                    task.cancel()
                    await asyncio.wait({task})
            await self._looker.end()
            if self._writing is not None:
                await asyncio.wait({self._writing})
            self._write_status(self._status(ended=True))
            self._recorder.settle()

    async def _begin(self) -> None:
        began = time.monotonic() - _FIRST_ANSWER_S
        nodes = await self._looker.nodes.since(began, _FIRST_ANSWER_S)
        if nodes is None:
            why = self._looker.nodes.failure or "no answer"
            raise UserError(f"the cluster of {self._settings.profile} cannot be asked for its nodes: {why}")
        patience_s = max(_FIRST_ANSWER_S, getattr(self._engine, "first_answer_s", 0.0))
        containers = await self._looker.engine.since(began, patience_s)
        if containers is None:
            who = getattr(self._engine, "who", DriverError.who)
            why = self._looker.engine.failure or f"nothing was said in {patience_s:g} s"
            raise UserError(f"{who} does not answer: {why}")
        if not {node["metadata"]["name"] for node in nodes} & set(containers):
            raise UserError(
                f"none of the cluster's nodes is a container of the profile {self._settings.profile}; "
                "check --profile and --context"
            )
        await self._looker.rights.since(began, _FIRST_ANSWER_S)
        if refused := self._refusal():
            raise UserError(refused)
        self._recorder.note("watching", nodes=" ".join(sorted(node["metadata"]["name"] for node in nodes)))

    async def _turn(self) -> None:
        """One look and what follows from it."""
        began = time.monotonic()
        self._learn()
        # One that has been given away would hold up every look until its time-out.
        addresses = {
            m.name: m.address
            for m in self._members.values()
            if m.address and m.name not in self._out and m.name not in self._acting
        }
        doubted = [
            n for n, v in self._verdicts.items() if v.state in {State.DOUBT, State.UNCLEAR, State.DEAD}
        ]
        self._look = await self._looker.look(addresses, doubted=doubted)
        self.looks += 1
        self._verdicts, before = self._judge.take(self._look), self._verdicts
        for name, verdict in self._verdicts.items():
            was_alive = name in before and before[name].state is State.ALIVE
            if verdict.state is State.ALIVE and not (was_alive and name in self._looker.ids):
                self._looker.identify(name)
        self._acted()
        self._act()
        self._take_back()
        self._tell()
        # While it only remains to be confirmed; not for as long as a dead node must not be given away.
        in_haste = any(v.state is State.DOUBT and v.ground is not None for v in self._verdicts.values())
        pause_s = self._pace.fact_s if in_haste else self._pace.interval_s
        await self._looker.pause(max(0.0, began + pause_s - time.monotonic()))

    def _learn(self) -> None:
        """Take in what the API server says of the nodes, and marks that an earlier watchdog left there."""
        latest = self._looker.nodes.latest
        if latest is None:
            return
        self._members = {node["metadata"]["name"]: member(node) for node in latest.value}
        for name in [n for n in self._verdicts if n not in self._members]:
            self._judge.forget(name)
        for m in self._members.values():
            known = m.name in self._acting or m.name in self._journal.phases
            # The list may be older than the end of the mark.
            if m.ours and not known and latest.asked >= self._released.get(m.name, 0.0):
                self._out.add(m.name)

    def _act(self) -> None:
        for name, verdict in self._verdicts.items():
            if verdict.state is State.ALIVE:
                self._refused.pop(name, None)
                if self._journal.phases.get(name) is Phase.ACTING:
                    # An earlier attempt did not come far, or not to its end: what it did is taken back.
                    self._out.add(name)
            if verdict.state is not State.DEAD or name in self._acting:
                continue
            if time.monotonic() < self._not_before.get(name, 0.0):
                continue
            out = self._out | self._acting.keys()
            why = why_not(name, self._members.values(), self._verdicts, out) or self._refusal()
            if why is None:
                self._give_away(name, verdict)
            elif self._refused.get(name) != why:
                self._refused[name] = why
                self._recorder.note("refused", node=name, why=why)

    def _refusal(self) -> str | None:
        """What the API server would refuse once the node has been ended."""
        latest = self._looker.rights.latest
        return rights.refusal(latest.value, self._settings.namespace) if latest and latest.value else None

    async def _ask_anew(self, name: str) -> Reach:
        # It was silent for a second; one that is there again takes a connection at once.
        node = self._members.get(name)
        return Reach.SILENT if node is None else await self._looker.ask_anew(node.address, self._pace.fact_s)

    def _give_away(self, name: str, verdict: Verdict) -> None:
        assert verdict.ground is not None  # noqa: S101  for the type alone: the dead have one
        container = self._looker.ids.get(name, "")
        others = [n for n, v in self._verdicts.items() if v.state is State.ALIVE]
        # Nodes that die together are given away beside each other: their users wait for the last of them.
        giving = GiveAway(
            api=self._api, engine=self._engine, recorder=self._recorder, journal=self._journal,
            executor=self._executor, namespace=self._settings.namespace,
            clear_flows=self._settings.clear_flows, ask=self._ask_anew,
        )  # fmt: skip
        self._acting[name] = asyncio.create_task(giving.run(name, verdict.ground, others, container))

    def _acted(self) -> None:
        """Take in how attempts ended."""
        for name in [name for name, task in self._acting.items() if task.done()]:
            try:
                outcome = self._acting.pop(name).result()
            except OSError as error:
                why = f"the journal cannot be written: {error.strerror}"
                self._recorder.note("failed", node=name, why=why)
                outcome = Outcome.NOT_FENCED
            if outcome is Outcome.GIVEN_AWAY:
                self.given_away.append(name)
                self._out.add(name)
            else:
                self._not_before[name] = time.monotonic() + _AGAIN_S

    def _take_back(self) -> None:
        """Look now and then whether those that were given away are back."""
        done = self._returning is None or self._returning.done()
        if not self._out or not done or time.monotonic() < self._next_return:
            return
        if self._returning is not None:
            self._returning.result()
        self._next_return = time.monotonic() + self._pace.return_s
        self._returning = asyncio.create_task(self._look_for_return())

    async def _look_for_return(self) -> None:
        for name in sorted(self._out):
            try:
                missing = await self._taking.look(name)
            except OSError as error:
                missing = f"the journal cannot be written: {error.strerror}"
            if missing is None:
                self._missing.pop(name, None)
                self._out.discard(name)
                self._judge.forget(name)
                self._released[name] = time.monotonic()
                self._looker.nodes.hurry()
            else:
                self._missing[name] = missing

    def _tell(self) -> None:
        """Write the status now and then, beside the looks: a slow disk must not make them late."""
        if time.monotonic() < self._next_status or (self._writing is not None and not self._writing.done()):
            return
        self._next_status = time.monotonic() + _STATUS_EVERY_S
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._executor, self._write_status, self._status(ended=False))

    def _status(self, *, ended: bool) -> dict[str, Any]:
        looker = self._looker
        sights = self._look.sights if self._look is not None else {}
        state = "ended" if ended else "acting" if self._acting else "watching"
        return {
            "updated": self._recorder.now(),
            "pid": os.getpid(),
            "profile": self._settings.profile,
            "state": state,
            "ready": not ended and self._is_ready(),
            "looks": self.looks,
            "late_s": None if self._look is None else round(self._look.late_s, 3),
            "engine": looker.engine.failure or "answers",
            "api": looker.leases.failure or "answers",
            "nodes": {
                name: {
                    "state": verdict.state,
                    "why": verdict.why,
                    "container": sights[name].container,
                    "kubelet": sights[name].kubelet,
                    "peers": dict(sights[name].peers),
                    "lease": sights[name].lease,
                }
                for name, verdict in self._verdicts.items()
            },
            "peers_ready": sorted(looker.peers_ready(self._members)),
            "acting_on": sorted(self._acting),
            "out": {name: self._missing.get(name, "") for name in sorted(self._out)},
            "given_away": self.given_away,
            "actions": self._recorder.actions,
        }

    def _is_ready(self) -> bool:
        """Whether every node of the cluster is watched by all paths."""
        names = set(self._members)
        alive = {name for name, verdict in self._verdicts.items() if verdict.state is State.ALIVE}
        return bool(names) and alive == names and self._looker.peers_ready(names) >= names

    def _write_status(self, status: dict[str, Any]) -> None:
        try:
            files.write_json(self._settings.status, status)
        except OSError as error:
            # Nobody can be told, but the nodes are watched all the same.
            if not self._complained:
                self._complained = True
                self._recorder.complain(f"cannot write {self._settings.status}: {error.strerror}")
