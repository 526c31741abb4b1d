"""Giving a dead node's work away: fence, mark, delete, clear. Every step may be done twice."""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import functools
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import stays_on_node
from failover_lab.kube.out_of_service import marking
from failover_lab.nodes import conntrack
from failover_lab.nodes.driver import DriverError, NodeState
from failover_lab.watchdog.cluster import RestlessError, words
from failover_lab.watchdog.journal import Journal, Phase
from failover_lab.watchdog.judge import Ground
from failover_lab.watchdog.sights import Reach

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object
    from failover_lab.nodes.driver import Fencer, Inspected
    from failover_lab.watchdog.cluster import Api
    from failover_lab.watchdog.recorder import Recorder

# The engine itself gives a killed container 12 s to end; after that nothing more is to be hoped for.
FENCE_S = 15.0
_INSPECT_EVERY_S = 0.02
_KILL_EVERY_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0
_ATTEMPTS = 5
_RUNS_ON = "it still runs"
_SAYS = {
    Reach.ANSWERS: "answers",
    Reach.REFUSED: "is down, but the node is there",
    Reach.MUTE: "takes connections",
    Reach.UNKNOWN: "could not be asked",
}

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    GIVEN_AWAY = "given away"
    ALIVE_AGAIN = "alive again"
    NOT_FENCED = "not fenced"


class _BackError(Exception):
    """The node runs again while its work is being given away."""


def addresses(pods: Collection[Object]) -> set[str]:
    """The pods' IP addresses."""
    return {ip["ip"] for pod in pods for ip in (pod.get("status") or {}).get("podIPs") or []}


class GiveAway:
    """Fences a node and gives its work away.

    Args:
        api, engine, recorder, journal: what it works with.
        executor: where calls that wait are made.
        namespace: whose pods are deleted.
        clear_flows: clear the other nodes' flows to the dead pods.
        by: the name in the mark.
        ask: how far a new connection to a node gets; None: whoever gives it away has made sure.
    """

    def __init__(
        self,
        *,
        api: Api,
        engine: Fencer,
        recorder: Recorder,
        journal: Journal,
        executor: concurrent.futures.Executor,
        namespace: str,
        clear_flows: bool,
        by: str = "failover-lab watchdog",
        ask: Callable[[str], Awaitable[Reach]] | None = None,
    ) -> None:
        """Nothing is done yet."""
        self._api = api
        self._engine = engine
        self._recorder = recorder
        self._journal = journal
        self._executor = executor
        self._namespace = namespace
        self._clear_flows = clear_flows
        self._by = by
        self._ask = ask
        self._container = ""

    async def _off(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Make a call that waits, without holding up the looks."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call, *arguments)

    async def run(self, node: str, ground: Ground, others: Collection[str], container: str = "") -> Outcome:
        """Do all of it.

        Args:
            node: the one that has been found dead.
            ground: on what ground.
            others: the nodes that run, where flows may have to be cleared.
            container: which one it was when it was alive, by the driver's id; empty: only its name is known.

        Raises:
            JournalError: the journal could not be written; nothing was done.
        """
        self._container = container
        self._recorder.note("dead", node=node, why=str(ground))
        which = {"container": container} if container else {}
        await self._off(functools.partial(self._journal.write, node, Phase.ACTING, **which))
        # Reading may be done before the fence stands, and so costs no time after it.
        listed = asyncio.create_task(self._off(self._list, node))
        try:
            fenced = await self._fence(node, ground)
            if fenced is not None:
                return fenced
            if not await self._insist(node, "mark it out of service", self._mark, node):
                self._recorder.note("removed", node=node, why="the cluster knows no such node any more")
            try:
                pods = await listed
            except RefusedError:
                pods = await self._insist(node, "list its pods", self._list, node)
            await asyncio.gather(self._delete(node, pods), self._clear(pods, others))
        except _BackError:
            self._recorder.note("back_early", node=node, why="its container was started meanwhile")
        finally:
            listed.cancel()
        await self._off(self._journal.write, node, Phase.OUT)
        return Outcome.GIVEN_AWAY

    async def _fence(self, node: str, ground: Ground) -> Outcome | None:
        """End the node for certain; None: it has ended."""
        loop = asyncio.get_running_loop()
        container = self._container
        deadline = loop.time() + FENCE_S
        why = _RUNS_ON
        killed = False
        next_kill = 0.0
        while True:
            try:
                found = await self._off(self._inspect, node)
                state = found.state
                if state.is_down:
                    self._recorder.note("fenced", node=node, container=str(state), killed=str(killed).lower())
                    return None
                if container and found.id not in {"", container}:
                    # What was to be ended has ended, and this one nobody has judged.
                    return await self._alive_again(node, "another container has its name now")
                # One that is about to be started again, or of which the engine says nothing, has not ended,
                # and whether it lives is yet to be seen.
                waits = state is NodeState.UNKNOWN
                why = "the engine says neither that it runs nor that it has ended" if waits else _RUNS_ON
                if state is NodeState.RUNNING and not killed:
                    back = await self._back(node, ground)
                    if back:
                        return await self._alive_again(node, back)
                if loop.time() >= next_kill and not waits:
                    killed = True
                    next_kill = loop.time() + _KILL_EVERY_S
                    await self._off(self._engine.kill, container or node)
                    continue
            except DriverError as error:
                why = str(error)
            if loop.time() >= deadline:
                self._recorder.note("not_fenced", node=node, why=why)
                return Outcome.NOT_FENCED
            await asyncio.sleep(_INSPECT_EVERY_S)

    def _inspect(self, node: str) -> Inspected:
        """The node's container, by whatever name it goes now; by its name where nothing else is known."""
        found = self._engine.inspect(node)
        if self._container in ("", found.id):
            return found
        known = self._engine.inspect(self._container)
        return found if known.state.is_down else known

    async def _back(self, node: str, ground: Ground) -> str:
        """Why one that runs is not to be ended any more; empty: it is."""
        if ground is not Ground.SILENT:
            # What the engine said is no longer so, and of the two paths that agreed one is left.
            return "its container runs"
        # To write the journal may have taken seconds, in which whatever cut it off was over.
        reach = Reach.SILENT if self._ask is None else await self._ask(node)
        return "" if reach is Reach.SILENT else f"asked once more before its end, its kubelet {_SAYS[reach]}"

    async def _alive_again(self, node: str, why: str) -> Outcome:
        await self._off(self._journal.write, node, Phase.CLOSED)
        self._recorder.note("alive_again", node=node, why=why)
        return Outcome.ALIVE_AGAIN

    async def _insist(self, node: str, step: str, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Do one step after the fence; again, if the API server does not grant it, while the fence holds."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self._off(call, *arguments)
            except RefusedError as error:
                if pause_s == _FIRST_PAUSE_S:
                    self._recorder.note("stuck", node=node, step=step, why=words(error))
            holds = False
            while not holds:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                holds = await self._still_down(node)

    async def _still_down(self, node: str) -> bool:
        try:
            state = (await self._off(self._inspect, node)).state
        except DriverError:
            return False
        if not state.is_down and state is not NodeState.UNKNOWN:
            raise _BackError
        return state.is_down

    def _mark(self, node: str) -> bool:
        """One patch for taint, cordon and label, so that at no time a replacement is put on the dead node."""
        for _ in range(_ATTEMPTS):
            found = self._api.node(node)
            if found is None:
                return False
            change = marking(found, self._by, self._recorder.now())
            try:
                if change is not None:
                    self._api.patch_node(node, change)
            except RefusedError as error:
                # Somebody has changed the node meanwhile (the node controller does, just now): look again.
                if error.status == 409:
                    continue
                raise
            self._recorder.note("marked", node=node)
            return True
        raise RestlessError("it can be marked")

    def _list(self, node: str) -> list[Object]:
        return [pod for pod in self._api.pods(self._namespace, node) if not stays_on_node(pod)]

    async def _delete(self, node: str, pods: list[Object]) -> None:
        """Delete the pods, and then those that were put on the node between the list and the mark."""
        deleted: dict[str, str] = {}
        while pods:
            await asyncio.gather(*(self._delete_one(node, pod["metadata"]) for pod in pods))
            deleted |= {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods}
            again = await self._insist(node, "list its pods", self._list, node)
            pods = [pod for pod in again if pod["metadata"]["uid"] not in deleted]
        self._recorder.note("pods_deleted", node=node, pods=" ".join(sorted(deleted.values())))

    async def _delete_one(self, node: str, meta: Object) -> None:
        step = f"delete pod {meta['name']}"
        await self._insist(node, step, self._api.delete_pod, self._namespace, meta["name"], meta["uid"])

    def _clear_on(self, node: str, dead: Collection[str]) -> int | None:
        try:
            return conntrack.cleared(self._engine.run(node, conntrack.argv(dead)))
        except DriverError:
            return None

    async def _clear(self, pods: Collection[Object], others: Collection[str]) -> None:
        dead = addresses(pods)
        if not self._clear_flows or not dead:
            return
        counts = await asyncio.gather(*(self._off(self._clear_on, other, dead) for other in others))
        failed = sorted(other for other, count in zip(others, counts, strict=True) if count is None)
        details = {"failed_on": " ".join(failed)} if failed else {}
        self._recorder.note("flows_cleared", entries=str(sum(count or 0 for count in counts)), **details)
