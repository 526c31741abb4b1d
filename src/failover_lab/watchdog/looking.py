"""Making one look: the kubelets in any case; engine, API server and peers where there is doubt."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from failover_lab.nodes.driver import DriverError, NodeState
from failover_lab.watchdog import rights
from failover_lab.watchdog.cluster import CONNECTIONS, Api
from failover_lab.watchdog.kubelet import Kubelet, ask_anew
from failover_lab.watchdog.peers import Peers
from failover_lab.watchdog.polling import Lateness, Poller
from failover_lab.watchdog.sights import Look, Reach, Sight

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Driver
    from failover_lab.nodes.pace import Pace

# After news of a container a look is begun anew; should they come in a flood, one is finished in between.
_MOST_NEW_BEGINNINGS = 3
# An end that is asked for takes no time; what does not come is not waited for.
_END_S = 1.0
_END_TRIES = 10
_NEWS_AGAIN_S = 1.0
# As a control, so many are asked at once, and the first answer is enough: one of them may die just now, too.
_MOST_CONTROLS = 3

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _News(threading.Thread):
    """Waits for news of containers. Only a hint: what is concluded is asked for afterwards."""

    def __init__(self, engine: Driver, loop: asyncio.AbstractEventLoop, stir: asyncio.Event) -> None:
        super().__init__(name="news", daemon=True)
        self._engine = engine
        self._loop = loop
        self._stir = stir
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            with contextlib.suppress(DriverError):
                for _name in self._engine.events():
                    if self.ended.is_set():
                        return
                    with contextlib.suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(self._stir.set)
            # Without news deaths are found all the same, a little later.
            self.ended.wait(_NEWS_AGAIN_S)


class Looker:
    """Looks at the nodes.

    Attributes:
        nodes: of the cluster, asked now and then.
        engine: the containers.
        rights: what the API server would refuse of giving a node away, in words.
        leases: of the nodes; its answers also tell that the API server lives.
        ids: which container each node is that was found alive. Containers can be renamed: one that is not
            there by its name any more may well run.
    """

    def __init__(
        self,
        *,
        pace: Pace,
        api: Api,
        engine: Driver,
        executor: concurrent.futures.ThreadPoolExecutor,
        namespace: str,
    ) -> None:
        """Nothing is asked yet."""
        self._pace = pace
        self._api = api
        self._executor = executor
        self._source = engine
        self._kubelets: dict[str, Kubelet] = {}
        self._stir = asyncio.Event()
        self._lateness = Lateness()
        self._tasks: list[asyncio.Task[None]] = []
        self._news: _News | None = None
        self._identifying: dict[str, asyncio.Task[None]] = {}
        self.ids: dict[str, str] = {}
        self.peers = Peers(engine)
        self.nodes = Poller(api.nodes, 5 * pace.poll_s, executor)
        self.engine = Poller(engine.containers, pace.poll_s, executor)
        self.leases = Poller(api.leases, pace.poll_s, executor)
        self.rights = Poller(lambda: rights.missing(api, namespace), pace.warm_s, executor)

    def start(self) -> None:
        """Begin to ask."""
        loop = asyncio.get_running_loop()
        work: list[Coroutine[Any, Any, None]] = [
            self._lateness.run(),
            self.nodes.run(),
            self.engine.run(),
            self.leases.run(),
            self.rights.run(),
            self._keep_warm(),
        ]
        self._tasks = [loop.create_task(part) for part in work]
        self._news = _News(self._source, loop, self._stir)
        self._news.start()

    async def _keep_warm(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # At the same time, since one after the other would share one connection.
            asked = [loop.run_in_executor(self._executor, self._api.version) for _ in range(CONNECTIONS)]
            await asyncio.gather(*asked, return_exceptions=True)
            await asyncio.sleep(self._pace.warm_s)

    def check(self) -> None:
        """Complain where a part that should run on has broken down."""
        for task in self._tasks:
            if task.done():
                task.result()

    def peers_ready(self, names: Collection[str]) -> set[str]:
        """The nodes that can be asked for others; all, where nothing of ours can run in any."""
        return self.peers.ready() if getattr(self._source, "hears_peers", True) else set(names)

    def identify(self, name: str) -> None:
        """Take note which container a node is that has just been found alive."""
        if name not in self._identifying:
            self._identifying[name] = asyncio.create_task(self._identify(name))

    async def _identify(self, name: str) -> None:
        try:
            found = await self._off(self._source.inspect, name)
            if found.state is NodeState.RUNNING:
                self.ids[name] = found.id
        except DriverError:
            # It is asked again after the next look.
            pass
        finally:
            del self._identifying[name]

    async def _state_by_id(self, name: str) -> NodeState:
        try:
            return (await self._off(self._source.inspect, self.ids[name])).state
        except DriverError:
            return NodeState.UNKNOWN

    async def _off(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call, *arguments)

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until there is news."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stir.wait(), seconds)

    async def look(self, addresses: Mapping[str, str], *, doubted: Collection[str]) -> Look:
        """Look once.

        Args:
            addresses: of the kubelets, ``host:port`` by the nodes' names.
            doubted: nodes that did not answer in the last look.
        """
        closely = bool(doubted)
        for _ in range(_MOST_NEW_BEGINNINGS):
            closely = closely or self._stir.is_set()
            self._stir.clear()
            look = asyncio.create_task(self._look(addresses, doubted, closely=closely))
            stir = asyncio.create_task(self._stir.wait())
            try:
                await asyncio.wait({look, stir}, return_when=asyncio.FIRST_COMPLETED)
                if look.done():
                    return look.result()
            finally:
                look.cancel()
                stir.cancel()
            await asyncio.wait({look})
        return await self._look(addresses, doubted, closely=True)

    async def _look(self, addresses: Mapping[str, str], doubted: Collection[str], *, closely: bool) -> Look:
        pace = self._pace
        began = time.monotonic()
        self._lateness.take()
        if closely:
            self.leases.hurry()
            self.engine.hurry()
            # Word of a machine that plays ask for is a few seconds old; before its end it is asked once more.
            said = await self.engine.since(began, pace.ask_s) or self._old_word()
        else:
            said = self.engine.not_older(pace.old_s) or self._old_word()
        states = {
            name: NodeState.UNKNOWN if said is None else said.get(name, NodeState.ABSENT)
            for name in addresses
        }
        renamed = [name for name in states if states[name] is NodeState.ABSENT and self.ids.get(name)]
        states |= zip(renamed, await asyncio.gather(*map(self._state_by_id, renamed)), strict=True)
        if said is not None and getattr(self._source, "hears_peers", True):
            self.peers.keep([name for name, state in states.items() if state is NodeState.RUNNING])
        suspects = [name for name in doubted if states.get(name) is NodeState.RUNNING]
        well = [name for name, state in states.items() if state is NodeState.RUNNING and name not in doubted]
        reaches, peers, control = await asyncio.gather(
            asyncio.gather(
                *(self._kubelet(name, addresses[name]).ask(self._limit_s(states[name])) for name in states)
            ),
            self._ask_peers(addresses if suspects else {}),
            self._control([addresses[name] for name in sorted(well)] if closely else []),
        )
        kubelets = dict(zip(states, reaches, strict=True))
        leases = self.leases.latest
        return Look(
            began=began,
            ended=time.monotonic(),
            late_s=self._lateness.take(),
            api_asked=None if leases is None else leases.asked,
            sights={
                name: Sight(
                    container=states[name],
                    kubelet=kubelets[name],
                    peers=peers.get(name, {}),
                    lease=None if leases is None else leases.value.get(name),
                )
                for name in addresses
            },
            control=control,
        )

    def _old_word(self) -> dict[str, NodeState] | None:
        hears = getattr(self._source, "hears_peers", True)
        latest = self.engine.latest
        return None if hears or latest is None else latest.value

    async def _control(self, addresses: list[str]) -> Reach | None:
        """How far new connections get to nodes that are not in question."""
        limit_s = self._pace.ask_s
        asked = [asyncio.create_task(self.ask_anew(one, limit_s)) for one in addresses[:_MOST_CONTROLS]]
        try:
            for answer in asyncio.as_completed(asked):
                if await answer is Reach.ANSWERS:
                    return Reach.ANSWERS
            return Reach.SILENT if asked else None
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def ask_anew(self, address: str, limit_s: float) -> Reach:
        """How far a question to a kubelet gets on a connection of its own."""
        return await ask_anew(address, limit_s, Kubelet)

    def _limit_s(self, state: NodeState) -> float:
        return self._pace.fact_s if state.is_down or state is NodeState.PAUSED else self._pace.ask_s

    async def _ask_peers(self, addresses: Mapping[str, str]) -> dict[str, dict[str, Reach]]:
        return await self.peers.ask(addresses, self._pace.ask_s) if addresses else {}

    def _kubelet(self, name: str, address: str) -> Kubelet:
        host, _, port = address.rpartition(":")
        kubelet = self._kubelets.get(name)
        if kubelet is None or kubelet.address != (host, int(port)):
            if kubelet is not None:
                kubelet.close()
            kubelet = self._kubelets[name] = Kubelet(host, int(port))
        return kubelet

    async def end(self) -> None:
        """Stop asking."""
        if self._news is not None:
            self._news.ended.set()
            # Again, where it has only just begun to listen.
            for _ in range(_END_TRIES):
                self._source.stop_events()
                self._news.join(_END_S / _END_TRIES)
                if not self._news.is_alive():
                    break
        self.peers.end()
        tasks = [*self._tasks, *self._identifying.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for kubelet in self._kubelets.values():
            kubelet.close()
