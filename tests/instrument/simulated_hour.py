"""An hour of the probe in simulated time: its own loop, counts and files, and a network that is made up.

The clock moves on only when the probe waits, and every socket is ready as soon as it is asked. Prints JSON:
the requests recorded, and the memory in use (resident, in MiB) after each tenth of the hour.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from failover_lab import arguments
from failover_lab.probe import alarm, engine, exchange, probing
from failover_lab.run import instants
from failover_lab.run.lifetime import StopCondition

BODY = b'{"pod": "site-a", "node": "lab-m02", "image": "site@sha256:1"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
RATE, REUSED_RATE = 200.0, 20.0
HOUR_S = 3600.0
BEGAN = 1_000_000.0
clock = SimpleNamespace(now=BEGAN)
ports = itertools.cycle(range(32768, 61000))
numbers = itertools.count(10)


class Socket:
    """One made-up connection: one in fifty is reset, one in a thousand never answers."""

    def __init__(self, *_: Any) -> None:
        self.number = next(numbers)
        self.open, self.asked = True, False

    def setblocking(self, _: bool) -> None: ...

    def bind(self, _: Any) -> None: ...

    def setsockopt(self, *_: Any) -> None: ...

    def connect_ex(self, _: Any) -> int:
        return 0

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", next(ports)

    def getsockopt(self, *_: Any) -> Any:
        return 0 if len(_) == 2 else bytes(104)

    def send(self, data: bytes) -> int:
        self.asked = True
        return len(data)

    def recv(self, _: int) -> bytes:
        if self.number % 50 == 0:
            raise ConnectionResetError(104, "reset")
        answered, self.asked = self.asked, False
        return ANSWER if answered else b""

    def fileno(self) -> int:
        return self.number if self.open else -1

    def close(self) -> None:
        self.open = False


class Selector:
    """Everything registered is ready at once, but for stalled connections and idle ones."""

    def __init__(self) -> None:
        self.keys: dict[Socket, selectors.SelectorKey] = {}
        self.ready: dict[Socket, None] = {}

    def register(self, sock: Socket, events: int, data: Any) -> None:
        self.keys[sock] = selectors.SelectorKey(sock, sock.number, events, data)
        stalled = sock.number % 1000 == 1 and events == selectors.EVENT_READ
        idle = data[0].__name__ == "_on_idle"
        if stalled or idle:
            self.ready.pop(sock, None)
        else:
            self.ready[sock] = None

    modify = register

    def unregister(self, sock: Socket) -> None:
        del self.keys[sock]
        self.ready.pop(sock, None)

    def get_map(self) -> dict[Socket, selectors.SelectorKey]:
        return self.keys

    def select(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        clock.now += 1e-5 if self.ready else timeout
        return [(self.keys[sock], 0) for sock in self.ready]

    def close(self) -> None: ...


def replace(module: ModuleType, **names: Any) -> None:
    for name, value in names.items():
        setattr(module, name, value)


def resident_mib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("this system does not say how much memory is resident")


def main() -> None:
    out = Path(sys.argv[1])
    samples: list[float] = []

    class Stop(StopCondition):
        def reason(self) -> str | None:
            passed_s = clock.now - BEGAN
            while probe._writer and probe._writer._waiting_bytes > 1 << 16:
                time.sleep(0.001)  # the disk's hour is as short as ours
            if passed_s >= HOUR_S * (len(samples) + 1) / 10:
                samples.append(resident_mib())
            return "the hour is over" if passed_s >= HOUR_S else None

    def now() -> float:
        return float(clock.now)

    replace(engine, monotonic=now)
    replace(exchange, monotonic=now)
    replace(socket, socket=Socket)
    replace(selectors, DefaultSelector=Selector)
    replace(alarm, for_selector=lambda _selector: None)
    settings = engine.Settings(arguments.target("http://127.0.0.1:9/whoami"), RATE, REUSED_RATE, 10, 3.0, 5.0)
    probe = probing.Run(settings, out, Stop(), 0.0)
    probe._clock = instants.Clock(1_795_000_000.0 - BEGAN)
    probe._began = probe._clock.offset_s + BEGAN
    replace(probing, time=SimpleNamespace(monotonic=now, time=time.time))
    probe.run()
    print(json.dumps({"recorded": probe._tally.ended, "mib": samples}))


if __name__ == "__main__":
    main()
