"""Questions that are asked again and again beside the looks, one at a time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from failover_lab.kube.errors import RefusedError
from failover_lab.nodes.driver import DriverError
from failover_lab.watchdog.cluster import words

T = TypeVar("T")
_TICK_S = 0.05


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What was answered to a question asked at this time (monotonic, in seconds)."""

    asked: float
    value: T


class Poller(Generic[T]):
    """Asks one source; while it does not answer, it is not asked a second time.

    Attributes:
        latest: the newest answer.
        failure: why the newest question was not answered; empty: it was.
    """

    def __init__(self, ask: Callable[[], T], every_s: float, executor: concurrent.futures.Executor) -> None:
        """Nothing is asked yet."""
        self._ask = ask
        self._every_s = every_s
        self._executor = executor
        self._hurry = asyncio.Event()
        self._news = asyncio.Event()
        self.latest: Answer[T] | None = None
        self.failure = ""

    async def run(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._hurry.clear()
            asked = time.monotonic()
            try:
                value = await loop.run_in_executor(self._executor, self._ask)
            except (RefusedError, DriverError) as error:
                self.failure = words(error)
            else:
                self.failure = ""
                self.latest = Answer(asked, value)
                self._news.set()
                self._news = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._every_s)

    def hurry(self) -> None:
        """Ask again at once, or as soon as the present question is answered."""
        self._hurry.set()

    async def since(self, instant: float, limit_s: float) -> T | None:
        """The answer to a question that was asked then or later; None: there is none within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                while self.latest is None or self.latest.asked < instant:
                    await self._news.wait()
        except TimeoutError:
            return None
        return self.latest.value

    def not_older(self, limit_s: float) -> T | None:
        """The newest answer, if its question was asked within this time."""
        latest = self.latest
        return latest.value if latest is not None and time.monotonic() - latest.asked <= limit_s else None


class Lateness:
    """How much later than asked for this process wakes up: a machine too busy shows in that first."""

    def __init__(self) -> None:
        """Not late so far."""
        self._worst_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self._worst_s = max(self._worst_s, time.monotonic() - due)

    def take(self) -> float:
        """The worst since the last call, in seconds."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s
