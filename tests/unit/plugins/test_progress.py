"""The progress plugin in a real play: what is shown, what is returned, what an interrupt leaves behind."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.action import progress
from ansible_collections.failover_lab.lab.plugins.plugin_utils import running
from tests.documents import load

REPO = Path(__file__).resolve().parents[3]


Task = dict[str, Any]


def task(arguments: dict[str, Any], **keywords: object) -> Task:
    return {"failover_lab.lab.progress": arguments, **keywords}


def playbook(folder: Path, **tasks: Task) -> list[str]:
    """A play of tasks by these names, which keeps what they have come to, but for what is secret."""
    named = [{"name": name, "register": name, **one} for name, one in tasks.items()]
    told = ", ".join(f"'{one['name']}': {one['name']}" for one in named if "no_log" not in one)
    results = {"content": f"{{{{ {{{told}}} | to_json }}}}", "dest": str(folder / "results.json")}
    keep = {"name": "Keep them", "check_mode": False, "ansible.builtin.copy": results}
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"block": named, "always": [keep]}]}]
    path = folder / "play.yml"
    path.write_text(json.dumps(play), encoding="utf-8")
    return ["ansible-playbook", str(path)]


@dataclass
class Played:
    """What a play said and came to, by the names of its tasks."""

    folder: Path
    returncode: int
    output: str
    said: dict[str, str]
    results: dict[str, dict[str, Any]]

    def lines(self, name: str) -> list[str]:
        """What was shown while the task ran."""
        return re.findall(r"^  … (.*)$", self.said[name], re.MULTILINE)


def run(folder: Path, *options: str, **tasks: Task) -> Played:
    done = subprocess.run(
        [*playbook(folder, **tasks), *options],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    _, *parts = re.split(r"^TASK \[(.*)\] \*+$", done.stdout, flags=re.MULTILINE)
    said = dict(zip(parts[::2], parts[1::2], strict=True))
    return Played(folder, done.returncode, done.stdout + done.stderr, said, results)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One play for all that need none of their own: each of its tasks is a test's."""
    folder = tmp_path_factory.mktemp("played")
    for name in ("there", "absent"):
        (folder / name).mkdir()
    (folder / "there" / "made").touch()
    tasks = {
        "shows": task(
            {
                "argv": ["sh", "-c", "echo $GREETING; pwd; sleep 3.4"],
                "chdir": str(folder),
                "label": "thing (2 of 3)",
                "interval_s": 1.0,
                "expected_s": 100,
                "log": str(folder / "logs" / "thing.log"),
            },
            environment={"GREETING": "hello"},
        ),
        "relays": task(
            {
                "argv": ["sh", "-c", "echo first; sleep 2.5; echo second; sleep 1"],
                "relay": "lines",
                "interval_s": 1.0,
            },
        ),
        "times_out": task({"argv": ["sleep", "30"], "timeout_s": 0.5}),
        "misses": task({"argv": ["no-such-command"], "label": "the build"}),
        "there": creating(folder / "there"),
        "absent": creating(folder / "absent"),
        "judges": task(
            {"argv": ["sh", "-c", "exit 2"]}, failed_when="judges.rc not in [0, 2]", changed_when=False
        ),
        "hides": task(
            {
                "argv": ["sh", "-c", "echo hush; sleep 1; echo hush >&2; exit 1"],
                "relay": "lines",
                "interval_s": 0.3,
                "log": str(folder / "log"),
            },
            no_log=True,
        ),
        "refuses": task({"argv": ["true"], "relay": "smoke"}),
    }
    return run(folder, **{name: {"ignore_errors": True, **one} for name, one in tasks.items()})


def creating(folder: Path) -> Task:
    return task({"argv": ["touch", "made", "ran"], "chdir": str(folder), "creates": "made"})


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A play in check mode."""
    folder = tmp_path_factory.mktemp("checked")
    for name in ("there", "absent"):
        (folder / name).mkdir()
    (folder / "there" / "made").touch()
    return run(folder, "--check", there=creating(folder / "there"), absent=creating(folder / "absent"))


def test_it_shows_the_time_and_returns_the_output(played: Played) -> None:
    result = played.results["shows"]
    assert result["failed"] is False, played.output
    shown = played.lines("shows")
    assert len(shown) == 2
    assert all(re.fullmatch(r"thing \(2 of 3\), [123]s, about 1m40s left", line) for line in shown)
    assert result["changed"] is True
    assert result["rc"] == 0
    assert result["stdout_lines"] == ["hello", str(played.folder)]
    assert 3.4 <= result["elapsed_s"] < 10
    log = (played.folder / "logs" / "thing.log").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ sh -c .*", log[0])
    assert log[1:] == ["hello", str(played.folder)]


def test_it_passes_over_what_says_nothing() -> None:
    arguments = {"relay": "lines", "passes_over": "NO_PROXY", "expected_s": None}
    teller = progress.Teller(arguments, "x")
    heard = [teller._last(line) for line in ("first", "- env NO_PROXY=10.0.0.1", "second")]
    assert heard == ["first", "first", "second"]


def test_it_relays_lines(played: Played) -> None:
    assert played.lines("relays")[:3] == ["first", "first (2s)", "second"]


def test_a_failure_says_what_was_said_last_and_where_the_rest_is(tmp_path: Path) -> None:
    """And it is the play's failure."""
    log = tmp_path / "build.log"
    script = "for i in $(seq 40); do echo complaint $i >&2; done; exit 3"
    done = run(tmp_path, fails=task({"argv": ["sh", "-c", script], "label": "the build", "log": str(log)}))
    assert done.returncode != 0
    result = done.results["fails"]
    assert result["failed"] is True
    assert result["rc"] == 3
    first, *rest = result["msg"].splitlines()
    assert first == "the build failed with exit status 3 after 0s:"
    assert rest == [f"complaint {i}" for i in range(26, 41)] + [f"All that it said is in {log}"]
    assert log.read_text(encoding="utf-8").count("complaint") == 40 + 1


def test_a_time_out_says_so(played: Played) -> None:
    message = "sleep did not end within 0s and was stopped; it said nothing"
    assert played.results["times_out"]["msg"] == message


def test_a_missing_command_is_one_sentence(played: Played) -> None:
    message = played.results["misses"]["msg"]
    assert message.startswith("the build could not be run: [Errno 2] No such file or directory")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("check", [True, False])
def test_creates_and_check_mode(request: pytest.FixtureRequest, *, there: bool, check: bool) -> None:
    done: Played = request.getfixturevalue("checked" if check else "played")
    assert done.returncode == 0, done.output
    name = "there" if there else "absent"
    assert done.results[name]["failed"] is False
    assert done.results[name]["changed"] is not there
    assert (done.folder / name / "ran").exists() is (not there and not check)


def test_changed_when_and_failed_when_are_the_tasks(played: Played) -> None:
    result = played.results["judges"]
    assert result["failed"] is False, played.output
    assert result["changed"] is False


def test_a_secret_is_neither_shown_nor_kept(played: Played) -> None:
    assert "hides" in played.said
    assert "hush" not in played.output
    assert not (played.folder / "log").exists()


def test_bad_arguments_are_refused(played: Played) -> None:
    assert "value of relay must be one of: timer, lines" in played.results["refuses"]["msg"]


@pytest.mark.nightly
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_play_leaves_nothing_running(tmp_path: Path, signum: signal.Signals) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/command; wait"
    with (tmp_path / "out").open("wb") as out:
        play = subprocess.Popen(
            playbook(tmp_path, waits=task({"argv": ["sh", "-c", script]})), cwd=REPO, stdout=out, stderr=out
        )
    pids = []
    for name in ("child", "command"):
        deadline = time.monotonic() + 20
        while not ((tmp_path / name).exists() and (tmp_path / name).read_text(encoding="ascii").strip()):
            assert time.monotonic() < deadline, (tmp_path / "out").read_text(encoding="utf-8")
            time.sleep(0.05)
        pids.append(int((tmp_path / name).read_text(encoding="ascii")))
    play.send_signal(signum)
    assert play.wait(timeout=20) != 0
    deadline = time.monotonic() + 8
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_the_line_tells_how_long_is_left_where_that_is_known() -> None:
    arguments = {"relay": "timer", "expected_s": 60.0}
    assert progress.Teller(arguments, "the nodes").line(20, "") == "the nodes, 20s, about 40s left"
    assert progress.Teller({**arguments, "expected_s": None}, "x").line(20, "") == "x, 20s"


def test_of_a_long_line_a_terminal_shows_the_end_and_a_file_all(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = progress.Teller({"relay": "lines", "expected_s": None}, "x")
    line = "y" * 500 + "the end"
    assert teller.line(1, line) == line
    monkeypatch.setenv("COLUMNS", "80")
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
        shown = teller.line(1, line + "!")
    assert shown == "…" + "y" * (75 - 8) + "the end!"


def intervals(value: Any) -> list[float]:
    """All that tasks set as the time between two lines."""
    if isinstance(value, dict):
        own = [float(value["interval_s"])] if "interval_s" in value else []
        return own + [found for item in value.values() for found in intervals(item)]
    return [found for item in value for found in intervals(item)] if isinstance(value, list) else []


def test_nobody_waits_for_more_than_15_s_without_a_line() -> None:
    tasks = [*REPO.glob("roles/*/tasks/**/*.yml"), *REPO.glob("playbooks/**/*.yml")]
    found = [interval for path in tasks for interval in intervals(load(path))]
    assert found, "the search finds them"
    by_default = [
        progress.ARGUMENTS["interval_s"]["default"],
        inspect.signature(running.run).parameters["interval_s"].default,
    ]
    assert max(found + by_default) <= 15
