"""The same by the command conntrack in the node, through the node's driver, where a socket cannot be had."""

from __future__ import annotations

import collections
import re
import threading
from typing import TYPE_CHECKING

from failover_lab.nodes.driver import DriverError
from failover_lab.trace.event import END, NEW, Event

if TYPE_CHECKING:
    from collections.abc import Collection

    from failover_lab.nodes.driver import Shell, Watched

# It waits for a word first: what is written before anybody listens may be lost. It ends when its input does,
# so that none is left in a node once nobody listens. conntrack writes line by line, and waits for each to be
# taken; cat takes as much at once as has come meanwhile, so that a way that is slow is not asked so often.
_PROGRAM = r"""
{
    read -r _
    command -v conntrack >/dev/null || { echo "absent"; exit; }
    exec 3<&0
    echo "here"
    conntrack -E -e NEW,DESTROY -p tcp --buffer-size 8388608 "$@" 2>&1 &
    child=$!
    { cat <&3; kill "$child"; } >/dev/null 2>&1 &
    wait "$child"
    echo "over $?"
} | cat
"""
_LINE = re.compile(
    r"\[(NEW|DESTROY)\]\s+tcp\s+6\s.*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
    r".*?src=(\S+) dst=\S+ sport=(\d+) dport=\d+"
)
_CHANGES = {"NEW": NEW, "DESTROY": END}
_LOSS = "ENOBUFS"
_ANSWER_S = 10.0


def _family(address: str) -> str:
    return "ipv6" if ":" in address else "ipv4"


def parse(line: str, targets: Collection[tuple[str, int]]) -> Event | None:
    """What a line of conntrack says of a connection to one of these addresses and ports."""
    match = _LINE.search(line)
    if match is None or (match[3], int(match[5])) not in targets:
        return None
    return Event(_CHANGES[match[1]], match[2], int(match[4]), match[6], int(match[7]))


class Program:
    """Hears one node by a program in it.

    Attributes:
        by: how, in a word.
        delay_s: how long what is said is on its way at most.
        lost: how often the kernel had to throw away what the program had not read in time.
    """

    by = "conntrack"
    # Through the node, the driver and a busy machine.
    delay_s = 0.5

    def __init__(self, driver: Watched, node: str, targets: Collection[tuple[str, int]]) -> None:
        """Begin to hear.

        Raises:
            DriverError: the node does not answer, or has no such command.
        """
        self._targets = frozenset(targets)
        addresses = sorted({address for address, _ in targets})
        # It takes one address at most; of several, everything is told, and chosen here.
        only = (
            [f"--family={_family(addresses[0])}", f"--orig-dst={addresses[0]}"] if len(addresses) == 1 else []
        )
        self._shell: Shell = driver.shell(node, ["sh", "-c", _PROGRAM, "sh", *only])
        self._found: collections.deque[Event] = collections.deque()
        self._answered = threading.Event()
        self._said = ""
        self._ended = False
        self.lost = 0
        self._thread = threading.Thread(target=self._listen, name=f"trace-{node}", daemon=True)
        self._thread.start()
        try:
            self._shell.write("now")
        except OSError as error:
            self.close()
            raise DriverError(f"{node} has ended") from error
        self._answered.wait(_ANSWER_S)
        if self._said != "here":
            self.close()
            why = "has no command conntrack" if self._said == "absent" else "says nothing"
            raise DriverError(f"{node} {why}")

    def _listen(self) -> None:
        for line in self._shell.lines():
            if not self._answered.is_set():
                self._said = line.strip()
                self._answered.set()
            elif (event := parse(line, self._targets)) is not None:
                self._found.append(event)
            elif _LOSS in line:
                self.lost += 1
        self._ended = True
        self._answered.set()

    def read(self) -> list[Event]:
        """What has been said since the last time.

        Raises:
            OSError: the program has ended, and all that it said was read before.
        """
        ended = self._ended
        found = [self._found.popleft() for _ in range(len(self._found))]
        if ended and not found:
            raise OSError("it has ended")
        return found

    def close(self) -> None:
        """Hear no more."""
        self._shell.close()
        if self._thread is not threading.current_thread():
            self._thread.join(1.0)
