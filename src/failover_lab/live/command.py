"""``live`` and ``replay``: watch a run while it happens, and again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab import arguments
from failover_lab.door.answer import Answer, say
from failover_lab.errors import UserError
from failover_lab.run import files
from failover_lab.run.layout import Run
from failover_lab.run.lifetime import StopCondition
from failover_lab.waiting import until

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from failover_lab.live.feed import Feed
    from failover_lab.live.server import Server

# After the end, whoever watches is given the time to fetch the report.
_LINGER_S = 10.0
# A run that was stopped has its report soon, or never.
_REPORT_S = 600.0
# Told to end, it waits for the report that is about to be made for so long.
_WHERE_S = 20.0
# To look whether there is news costs next to nothing.
_GLANCE_S = 0.03
_LOOPBACK = "127.0.0.1"


def add_parser(commands: arguments.Commands) -> None:
    """Add ``live`` and ``replay`` to the command line."""
    parser = arguments.command(commands, "live", run)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    _add_address(parser)
    parser.add_argument(
        "--where", action="store_true", help="say where the run can be watched already, and serve nothing"
    )
    parser.add_argument("--stop-file", type=Path, metavar="F", help="end soon after this file exists")
    parser.add_argument("--parent-pid", type=arguments.whole(1, 2**31), metavar="P", help="stop with it")
    parser.add_argument("--max-duration", type=arguments.number(0.1, 7 * 86400, " s"), metavar="S")
    parser = arguments.command(commands, "replay", run_replay)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    _add_address(parser)
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="write one file that anybody can open, and serve nothing"
    )


def _add_address(parser: arguments.Parser) -> None:
    parser.add_argument(
        "--host",
        default=_LOOPBACK,
        metavar="HOST",
        help=f"listen at this address (default {_LOOPBACK}, which this machine alone reaches; beyond it, the "
        "page's address has a secret in it)",
    )
    parser.add_argument(
        "--port", type=arguments.whole(0, 65535), default=0, metavar="P", help="default 0: a free one"
    )


def run(options: argparse.Namespace) -> Answer:
    """Show a run in a browser while it happens.

    Reads what probe, observer, trace and play write to the run's directory, and nothing else. Says where to
    look, and notes it in live.json there. Ends by itself a moment after the report was made; or at SIGTERM,
    SIGINT, the end of the parent, or --max-duration. A run that is over is played again, as by replay.
    """
    directory = files.existing_directory(options.directory).resolve()
    if options.where:
        return _where(directory)
    if Run(directory).page.exists():
        return _play(options, directory)
    from failover_lab.live.feed import Feed  # noqa: PLC0415  half a second of imports

    stop = StopCondition(most_s=options.max_duration, parent_pid=options.parent_pid)
    stop.catch_signals()
    feed = Feed(directory)

    noted = Noted(directory)

    def work(server: Server) -> Awaitable[str]:
        noted.put({"state": "serving", "url": server.url})
        return _follow(feed, server, stop, options.stop_file, noted.put)

    try:
        why = asyncio.run(_serve(options, work, feed.shown, Run(directory).page))
    finally:
        noted.put({"state": "ended", "url": None})
    return Answer({"reason": why}, changed=True)


class Noted:
    """What stands in live.json: written anew where it is something else.

    Args:
        directory: the run's.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing yet."""
        self._path = Run(directory).live
        self._content: dict[str, Any] = {"pid": os.getpid()}
        self._written: dict[str, Any] = {}

    def put(self, content: dict[str, Any]) -> None:
        """Keep this as well.

        Raises:
            UserError: it cannot be written.
        """
        self._content |= content
        if self._content == self._written:
            return
        try:
            files.write_json(self._path, self._content)
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from error
        self._written = dict(self._content)


def run_replay(options: argparse.Namespace) -> Answer:
    """Play a finished run again, in the page that showed it as it happened.

    At any speed, forwards and back. With --export FILE.html it becomes one file, which needs no network and
    no program but a browser.
    """
    return _play(options, files.existing_directory(options.directory).resolve(), options.export)


def _play(options: argparse.Namespace, directory: Path, export: Path | None = None) -> Answer:
    """Play a run that is over, or write it to a file."""
    from failover_lab.live import replay  # noqa: PLC0415  as above

    shown = replay.film(directory)
    if export is not None:
        try:
            files.write_atomic(export, replay.export(shown))
        except OSError as error:
            raise UserError(f"cannot write {export}: {error.strerror}; give another file") from error
        say(f"{export} plays it: open it in a browser")
        return Answer({"file": str(export)}, changed=True)
    stop = StopCondition()
    stop.catch_signals()

    async def wait(_server: Server) -> str:
        while (why := stop.reason()) is None:  # noqa: ASYNC110  what it waits for is no event of the loop
            await asyncio.sleep(0.2)
        return why

    why = asyncio.run(_serve(options, wait, lambda: shown | {"replay": True}, Run(directory).page))
    return Answer({"reason": why})


def _where(directory: Path) -> Answer:
    """The address of the page of a run whose server is about to start."""

    def known() -> dict[str, Any]:
        with contextlib.suppress(UserError):
            return files.read_json(Run(directory).live)
        return {}

    until(lambda: not known(), _WHERE_S, every_s=0.1)
    url = known().get("url")
    if not url:
        raise UserError(f"no page of this run is served: {Run(directory).live} names none")
    say(str(url))
    return Answer({"url": url})


async def _serve(
    options: argparse.Namespace,
    work: Callable[[Server], Awaitable[str]],
    shown: Callable[[], dict[str, Any]],
    page: Path,
) -> str:
    from failover_lab.live.server import Server, listener  # noqa: PLC0415  as above

    sock = listener(options.host, options.port)
    server = Server(sock, options.host, shown, page)
    runner = await server.start()
    say(f"Look at {server.url}")
    try:
        why = await work(server)
    finally:
        server.end()
        await runner.cleanup()
    say(f"ended: {why}")
    return why


async def _follow(
    feed: Feed,
    server: Server,
    stop: StopCondition,
    stop_file: Path | None,
    note: Callable[[dict[str, Any]], None],
) -> str:
    """Push what is new until it is time to end; gives back why.

    Args:
        feed: of the run.
        server: of the page.
        stop: when it is time in any case.
        stop_file: of the run, whose report is made soon after it is there.
        note: keeps what is told, for those who look at a terminal.
    """
    from failover_lab.live.server import EVERY_S  # noqa: PLC0415  as above

    stopped: float | None = None
    over: float | None = None
    while True:
        began = time.monotonic()
        frame = feed.look()
        if frame is not None:
            server.push(frame)
            note(feed.told())
        why = stop.reason()
        if feed.over:
            # The play ends with its report, and whoever watches is still to have that.
            over = over or began
            if stop.signals or began - over > _LINGER_S:
                return "the run is over"
        elif stop_file is not None and os.path.exists(stop_file):  # noqa: ASYNC240, PTH110  a moment
            stopped = stopped or began
            if began - stopped > _REPORT_S:
                why = why or "the run was stopped, and no report was made"
        if why is not None and not feed.over:
            # Whoever watches is told that nothing more will come.
            server.push(feed.gone(why))
            return why
        await _pause(feed, began + EVERY_S)


async def _pause(feed: Feed, until: float) -> None:
    """Wait until then, or until the cluster or the play says something: that is shown at once."""
    await asyncio.sleep(_GLANCE_S)
    while (left := until - time.monotonic()) > 0 and not feed.has_news():  # noqa: ASYNC110  no event of the loop
        await asyncio.sleep(min(left, _GLANCE_S))
