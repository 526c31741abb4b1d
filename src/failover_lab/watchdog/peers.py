"""Do the other nodes reach it? A small program waits in each node and tries connections when told to."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

from failover_lab.nodes.driver import DriverError
from failover_lab.watchdog.kubelet import reach_of
from failover_lab.watchdog.sights import Reach

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Shell

_AGAIN_S = 2.0
# A node that has answered this machine needs no more to answer its engine, on the same machine.
_ON_THE_WAY_S = 0.1
# Perl's core is essential in Debian and Ubuntu, of which node images are made. One process that waits costs
# nothing, where a loop of curl would cost a tenth of a core; and since the kernel notes an answer while the
# program itself has to wait for a processor, a busy machine makes no silence. select gives back the time that
# is left (Linux). In: NUMBER SECONDS HOST:PORT …; out: NUMBER HOST:PORT=ERRNO …, without those from which
# nothing came back.
_PROGRAM = r"""
use strict; use Socket; use Fcntl;
$| = 1;
while (defined(my $line = <STDIN>)) {
    my ($number, $left, @targets) = split ' ', $line;
    my (%open, @said);
    for my $target (@targets) {
        my ($host, $port) = $target =~ /^(.*):(\d+)$/ or next;
        my $six = $host =~ /:/;
        my $address = $six ? Socket::inet_pton(AF_INET6, $host) : inet_aton($host);
        $address or next;
        socket(my $socket, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0) or next;
        fcntl($socket, F_SETFL, O_NONBLOCK);
        my $there = $six ? Socket::pack_sockaddr_in6($port, $address) : pack_sockaddr_in($port, $address);
        my $done = connect($socket, $there);
        if ($done || $!{EINPROGRESS}) { $open{$target} = $socket } else { push @said, "$target=" . ($! + 0) }
    }
    while (%open) {
        my $ready = '';
        vec($ready, fileno($_), 1) = 1 for values %open;
        (my $count, $left) = select(undef, $ready, undef, $left);
        last unless $count > 0;
        for my $target (keys %open) {
            next unless vec($ready, fileno($open{$target}), 1);
            push @said, "$target=" . unpack('i', getsockopt($open{$target}, SOL_SOCKET, SO_ERROR));
            close delete $open{$target};
        }
    }
    push @said, "$_=silent" for keys %open;
    print join(' ', $number, @said), "\n";
}
"""
ARGV = ["perl", "-e", _PROGRAM]


class Opener(Protocol):
    """What starts a program in a node."""

    def shell(self, name: str, argv: list[str]) -> Shell:
        """As ``Driver.shell``."""


class Peer(threading.Thread):
    """The program in one node, started again whenever it ends.

    Attributes:
        ready: it waits for questions.
    """

    def __init__(self, name: str, opener: Opener, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing is started yet."""
        super().__init__(name=f"peer-{name}", daemon=True)
        self._node = name
        self._opener = opener
        self._loop = loop
        self._ended = threading.Event()
        self._shell: Shell | None = None
        self._number = 0
        self._waiting: dict[str, asyncio.Future[dict[str, Reach]]] = {}
        self.ready = False

    def run(self) -> None:
        """Keep the program running until told to end."""
        while not self._ended.is_set():
            with contextlib.suppress(DriverError, OSError):
                self._shell = shell = self._opener.shell(self._node, ARGV)
                if self._ended.is_set():
                    shell.close()
                # A question about nothing: its answer tells that the program runs.
                shell.write("0 0")
                for line in shell.lines():
                    self._tell(line)
            self.ready = False
            self._ended.wait(_AGAIN_S)

    def _tell(self, line: str) -> None:
        number, *words = line.split() or [""]
        self.ready = True
        said = dict(word.rpartition("=")[::2] for word in words)
        # The loop may have ended just now.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(
                self._answer, number, {t: _reach(word) for t, word in said.items()}
            )

    def _answer(self, number: str, said: dict[str, Reach]) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(said)

    async def ask(self, targets: Collection[str], limit_s: float) -> dict[str, Reach]:
        """How far each ``host:port`` lets this node get; those of which nothing is known are left out."""
        shell = self._shell
        if shell is None or not self.ready or not targets:
            return {}
        self._number += 1
        number = str(self._number)
        answer: asyncio.Future[dict[str, Reach]] = self._loop.create_future()
        self._waiting[number] = answer
        try:
            shell.write(f"{number} {limit_s:g} {' '.join(sorted(targets))}")
            return await asyncio.wait_for(answer, limit_s + _ON_THE_WAY_S)
        except (TimeoutError, OSError):
            # What does not answer is asked no more until it has: its input must not fill up.
            self.ready = False
            return {}
        finally:
            self._waiting.pop(number, None)

    def end(self) -> None:
        """End the program in the node."""
        self._ended.set()
        if self._shell is not None:
            self._shell.close()


def _reach(word: str) -> Reach:
    if word == "silent":
        return Reach.SILENT
    return reach_of(int(word)) if word.isdigit() else Reach.UNKNOWN


class Peers:
    """The programs in all nodes."""

    def __init__(self, opener: Opener) -> None:
        """Nothing is started yet."""
        self._opener = opener
        self._peers: dict[str, Peer] = {}

    def keep(self, names: Collection[str]) -> None:
        """Have a program in each of these nodes, and in no other."""
        for name in set(self._peers) - set(names):
            self._peers.pop(name).end()
        for name in set(names) - set(self._peers):
            self._peers[name] = Peer(name, self._opener, asyncio.get_running_loop())
            self._peers[name].start()

    def ready(self) -> set[str]:
        """Those that wait for questions."""
        return {name for name, peer in self._peers.items() if peer.ready}

    async def ask(self, addresses: Mapping[str, str], limit_s: float) -> dict[str, dict[str, Reach]]:
        """How far each of these nodes lets the others get.

        Args:
            addresses: ``host:port`` by the nodes' names.
            limit_s: wait so long.

        Returns:
            by node, and then by who asked.
        """
        names = [name for name in self._peers if name in addresses]
        answers = await asyncio.gather(
            *(self._peers[n].ask({a for other, a in addresses.items() if other != n}, limit_s) for n in names)
        )
        found: dict[str, dict[str, Reach]] = {node: {} for node in addresses}
        for peer, said in zip(names, answers, strict=True):
            for node, address in addresses.items():
                if address in said:
                    found[node][peer] = said[address]
        return found

    def end(self) -> None:
        """End all programs, and wait until nobody listens to them any more.

        A thread that is woken while the interpreter goes down may take the whole process with it.
        """
        ended = list(self._peers.values())
        self.keep(())
        for peer in ended:
            peer.join(_AGAIN_S + _ON_THE_WAY_S)
