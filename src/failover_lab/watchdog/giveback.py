"""Taking the mark off a node that is back."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import condition_of
from failover_lab.kube.out_of_service import unmarking
from failover_lab.nodes.driver import DriverError, NodeState
from failover_lab.run import instants
from failover_lab.watchdog.cluster import RestlessError, member, words
from failover_lab.watchdog.journal import Journal, Phase
from failover_lab.watchdog.kubelet import Kubelet, ask_anew
from failover_lab.watchdog.sights import Reach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from failover_lab.kube.objects import Object
    from failover_lab.nodes.driver import Fencer, Inspected
    from failover_lab.watchdog.cluster import Api
    from failover_lab.watchdog.recorder import Recorder

# Nothing is in a hurry any more; a kubelet that has just been started is.
_KUBELET_S = 1.0
_ATTEMPTS = 5
# So far ahead a renewal may be by the clocks of one machine: it is written by several processes.
_CLOCK_S = 5.0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def _instant(text: object) -> float | None:
    try:
        return instants.parse(str(text))
    except ValueError:
        return None


@dataclass
class Heard:
    """What was heard of a node since its container was started, by what changed: no clock is compared for it.

    A wall clock that was set back makes all that is new look older than the start of the container, and what
    was said before look newer.

    Attributes:
        incarnation: the container and its start; None while it does not run.
        lease, ready: what the kubelet had said last before it could have said anything anew.
        renewals: how often the lease has been renewed since.
        said_ready: whether its condition was written anew since.
    """

    incarnation: tuple[str, str] | None = None
    lease: str | None = None
    ready: str = ""
    renewals: int = 0
    said_ready: bool = False
    _begun: bool = False

    def take(self, node: Object, inspected: Inspected, lease: str | None) -> None:
        """Take in one more look; the container was asked first."""
        now = (inspected.id, inspected.started) if inspected.state is NodeState.RUNNING else None
        ready = str(condition_of(node).get("lastHeartbeatTime"))
        if now is None or (self.incarnation is not None and now != self.incarnation) or not self._begun:
            self.renewals, self.said_ready = 0, False
        else:
            self.renewals += lease not in {None, "", self.lease}
            self.said_ready = self.said_ready or ready != self.ready
        self.incarnation, self.lease, self.ready = now, lease, ready
        self._begun = True

    @property
    def is_ready_anew(self) -> bool:
        """Whether its condition is of now. One that is not ready says so before its second renewal."""
        return self.said_ready or self.renewals > 1


def why_not_back(
    node: Object, inspected: Inspected, lease: str | None, heard: Heard | None = None
) -> str | None:
    """What is still missing until a node is back; None: nothing as far as engine and API server know.

    Args:
        node: as the API server has it.
        inspected: its container.
        lease: when its kubelet renewed its lease last.
        heard: what earlier looks say; None: this is the first.
    """
    if inspected.state is not NodeState.RUNNING:
        return f"its container is {inspected.state}"
    heard = heard or Heard()
    started = _instant(inspected.started)
    if started is None:
        return "the engine does not say when its container was started"
    renewed = _instant(lease)
    # All of these are clocks of one machine, a container has none of its own; but it may have been set.
    if not heard.renewals and not _since(renewed, started):
        return "its kubelet has not renewed its lease since its container was started"
    ready = condition_of(node)
    if ready.get("status") != "True":
        return "it is not Ready"
    said = _instant(ready.get("lastHeartbeatTime"))
    # This one has whole seconds only.
    if not heard.is_ready_anew and not _since(said, int(started)):
        return "that it is Ready was said before its container was started"
    return None


def _since(said: float | None, started: float) -> bool:
    """Whether it was said since the start. What is of a time yet to come, a clock that was set has spoilt."""
    return said is not None and started <= said <= time.time() + _CLOCK_S


class GiveBack:
    """Looks whether a node is back and takes the watchdog's mark off it.

    Args:
        api, engine, recorder: what it works with.
        journal: None where there is none to keep, in a release by hand.
        executor: where calls that wait are made.
        ask: asks the kubelet at an address.
    """

    def __init__(
        self,
        *,
        api: Api,
        engine: Fencer,
        recorder: Recorder,
        journal: Journal | None,
        executor: concurrent.futures.Executor,
        ask: Callable[[str], Awaitable[Reach]] | None = None,
    ) -> None:
        """Nothing is done yet."""
        self._api = api
        self._engine = engine
        self._recorder = recorder
        self._journal = journal
        self._executor = executor
        self._ask = ask or _ask_kubelet
        self._heard: dict[str, Heard] = {}

    async def _off(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call, *arguments)

    async def look(self, name: str) -> str | None:
        """Take the mark off if the node is back; gives back what is missing, or None: there is no mark now.

        Raises:
            JournalError: the journal could not be written.
        """
        try:
            # First: what is heard then was said by this container, or by one before it, and by none after it.
            inspected = await self._off(self._engine.inspect, name)
            node, leases = await asyncio.gather(self._off(self._api.node, name), self._off(self._api.leases))
            if node is None or not member(node).ours:
                await self._close(name)
                self._recorder.note("closed", node=name, why="the node does not bear the watchdog's mark")
                return None
            heard = self._heard.setdefault(name, Heard())
            heard.take(node, inspected, leases.get(name))
            if missing := why_not_back(node, inspected, leases.get(name), heard):
                return missing
            if await self._ask(member(node).address) is not Reach.ANSWERS:
                return "its kubelet does not answer"
            if self._journal is not None:
                await self._off(self._journal.write, name, Phase.RETURNING)
            await self._off(self._unmark, name)
        except (RefusedError, DriverError) as error:
            return words(error)
        await self._close(name)
        self._recorder.note("released", node=name)
        return None

    async def _close(self, name: str) -> None:
        self._heard.pop(name, None)
        if self._journal is not None:
            await self._off(self._journal.write, name, Phase.CLOSED)

    def _unmark(self, name: str) -> None:
        for _ in range(_ATTEMPTS):
            node = self._api.node(name)
            change = None if node is None else unmarking(node)
            if change is None:
                return
            try:
                self._api.patch_node(name, change)
            except RefusedError as error:
                if error.status == 409:
                    continue
                raise
            return
        raise RestlessError("its mark can be taken off")


async def _ask_kubelet(address: str) -> Reach:
    return await ask_anew(address, _KUBELET_S, Kubelet)
