"""Who watches gets all of it, whenever they come; who was not given the address gets nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from failover_lab import cli
from failover_lab.live import command, server
from failover_lab.live.feed import Feed
from failover_lab.report import command as report_command
from failover_lab.run import lifetime
from failover_lab.run.layout import Run

if TYPE_CHECKING:
    from tests.unit.made_up import MadeUpRun

FILM = {"head": {"zero": 0}, "frames": [{"t": 1}]}


class Client:
    """A watcher, as a browser is one."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def get(self, path: str = "", **headers: str) -> tuple[int, str]:
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def events(self, count: int) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        async with self.session.get(f"{self.url}events") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            while len(found) < count and (line := await answer.content.readline()):
                if line.startswith(b"event: "):
                    data = (await answer.content.readline()).removeprefix(b"data: ")
                    found.append((line[7:].strip().decode(), json.loads(data)))
        return found


def served(
    tmp_path: Path,
    use: Callable[[server.Server, Client], Any],
    host: str = "127.0.0.1",
    listen: str = "127.0.0.1",
) -> Any:
    async def go() -> Any:
        mine = server.Server(server.listener(listen, 0), host, lambda: FILM, tmp_path / "report.html")
        runner = await mine.start()
        try:
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{mine.url.rpartition(':')[2]}"
                return await asyncio.wait_for(use(mine, Client(session, url)), 20)
        finally:
            mine.end()
            await runner.cleanup()

    return asyncio.run(go())


async def _watching(mine: server.Server, count: int) -> None:
    while mine.watchers < count:  # noqa: ASYNC110  a server tells nobody who watches
        await asyncio.sleep(0.01)


def test_whoever_comes_late_is_told_all_and_then_what_is_new(tmp_path: Path) -> None:
    async def use(mine: server.Server, client: Client) -> Any:
        watchers = [asyncio.create_task(client.events(3)) for _ in range(3)]
        await _watching(mine, 3)
        mine.push({"t": 2})
        mine.push({"t": 3})
        return await asyncio.gather(*watchers)

    for found in served(tmp_path, use):
        assert found == [("film", FILM), ("frame", {"t": 2}), ("frame", {"t": 3})]


def test_whoever_does_not_take_it_is_let_go(tmp_path: Path) -> None:
    async def use(mine: server.Server, client: Client) -> int:
        watcher = asyncio.create_task(client.events(10_000))
        await _watching(mine, 1)
        # All at once: nobody can take so many before the next comes.
        for number in range(300):
            mine.push({"t": number})
        seen = len(await watcher)
        assert mine.watchers == 0
        return int(seen)

    assert served(tmp_path, use) < 300


def test_the_pages_files_are_served_and_no_others(tmp_path: Path) -> None:
    async def use(_mine: server.Server, client: Client) -> list[tuple[int, str]]:
        names = ["", "page/main.js", "page/style.css", "page/../command.py", "page/index.html", "report.html"]
        # What the report draws as well is the report's.
        assert (await client.get("page/scene.css"))[0] == 200
        return [await client.get(name) for name in names]

    found = served(tmp_path, use)
    assert [status for status, _ in found] == [200, 200, 200, 404, 404, 404]
    assert "<title>failover-lab</title>" in found[0][1]
    (tmp_path / "report.html").write_text("the report")
    assert served(tmp_path, lambda _mine, client: client.get("report.html")) == (200, "the report")


def test_a_name_of_somebody_elses_is_not_answered(tmp_path: Path) -> None:
    """A page in the same browser may have its own name lead to this machine, and would read along."""

    async def use(_mine: server.Server, client: Client) -> list[int]:
        hosts = ["evil.example", "evil.example:80", "localhost", "[::1]:80"]
        return [(await client.get("", Host=host))[0] for host in hosts]

    assert served(tmp_path, use) == [403, 403, 200, 200]


def test_beyond_this_machine_the_address_is_a_secret(tmp_path: Path) -> None:
    async def use(mine: server.Server, client: Client) -> tuple[str, int, int]:
        bare = client.url.split("/")[2]
        async with client.session.get(f"http://{bare}/") as answer:
            return mine.url, (await client.get())[0], answer.status

    urls = [served(tmp_path, use, host="0.0.0.0") for _ in range(2)]
    for url, with_secret, without in urls:
        assert (with_secret, without) == (200, 404)
        assert len(url.split("/")[3]) >= 16
        assert socket.gethostname() in url
    assert urls[0][0].split("/")[3] != urls[1][0].split("/")[3]


def test_a_port_that_is_taken_is_named(
    tmp_path: Path, made_up: MadeUpRun, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up.write()
    with server.listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["replay", str(made_up.directory), f"--port={port}"]) == 2
    said = capsys.readouterr().err
    assert f"cannot listen at 127.0.0.1, port {port}" in said
    assert "give another --port, or 0" in said


@pytest.fixture
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' own process keeps its handlers.
    monkeypatch.setattr(lifetime.StopCondition, "catch_signals", lambda _self: None)


@pytest.mark.usefixtures("_no_signals")
def test_it_says_where_to_look_and_ends_with_the_run(
    made_up: MadeUpRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_LINGER_S", 0.1)
    made_up.write()
    found: dict[str, Any] = {}

    def look() -> None:
        assert cli.main(["live", str(made_up.directory), "--where"]) == 0
        report_command.write(made_up.directory)

    other = threading.Thread(target=look)
    other.start()
    assert cli.main(["live", str(made_up.directory)]) == 0
    other.join(20)
    said = capsys.readouterr().out
    assert "Look at http://127.0.0.1:" in said
    assert "ended: the run is over" in said
    found = json.loads(Run(made_up.directory).live.read_text())
    assert (found["state"], found["url"]) == ("ended", None)


@pytest.mark.usefixtures("_no_signals")
@pytest.mark.parametrize(
    ("options", "why"),
    [(["--max-duration=0.1"], "the hard bound"), (["--parent-pid=2147483646"], "process 2147483646 is gone")],
)
def test_it_ends_without_a_report_as_well(
    options: list[str], why: str, made_up: MadeUpRun, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up.write()
    assert cli.main(["live", str(made_up.directory), *options]) == 0
    assert why in capsys.readouterr().out


@pytest.mark.usefixtures("_no_signals")
def test_a_run_that_was_stopped_is_given_time_for_its_report_and_no_more(
    made_up: MadeUpRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_REPORT_S", 0.1)
    made_up.write()
    stop = made_up.directory / "stop"
    stop.touch()
    assert cli.main(["live", str(made_up.directory), f"--stop-file={stop}"]) == 0
    assert "no report was made" in capsys.readouterr().out


def test_where_nothing_is_served(
    made_up: MadeUpRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_WHERE_S", 0.0)
    made_up.write()
    assert cli.main(["live", str(made_up.directory), "--where"]) == 2
    assert "no page of this run is served" in capsys.readouterr().err


def test_what_the_cluster_says_is_not_kept_waiting_for_the_next_look(tmp_path: Path) -> None:
    run = Run(tmp_path)
    feed = Feed(tmp_path)

    async def took(next_look_s: float, says: bool) -> float:
        if says:
            asyncio.get_running_loop().call_later(0.05, run.events.write_text, "{}\n")
        began = time.monotonic()
        await command._pause(feed, began + next_look_s)
        return time.monotonic() - began

    assert asyncio.run(took(0.3, says=False)) >= 0.3
    assert asyncio.run(took(20.0, says=True)) < 10.0
