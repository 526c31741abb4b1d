"""The progress plugin in a real play: what is shown, what is returned, what an interrupt leaves behind."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.failover_lab.lab.plugins.action import progress
from ansible_collections.failover_lab.lab.plugins.plugin_utils import running

REPO = Path(__file__).resolve().parents[3]


def playbook(tmp_path: Path, arguments: dict[str, Any], **keywords: object) -> list[str]:
    task: dict[str, Any] = {
        "name": "Run it",
        "failover_lab.lab.progress": arguments,
        "register": "run",
        **keywords,
    }
    show = {"ansible.builtin.copy": {"content": "{{ run | to_json }}", "dest": str(tmp_path / "result.json")}}
    rescue = {"name": "Keep the failure", "check_mode": False, **show}
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{"block": [task], "always": [rescue]}],
        }
    ]
    path = tmp_path / "play.yml"
    path.write_text(json.dumps(play), encoding="utf-8")
    return ["ansible-playbook", str(path)]


def run(
    tmp_path: Path, arguments: dict[str, Any], *options: str, **keywords: object
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(
        [*playbook(tmp_path, arguments, **keywords), *options],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    return done, result


def test_it_shows_the_time_and_returns_the_output(tmp_path: Path) -> None:
    done, result = run(
        tmp_path,
        {
            "argv": ["sh", "-c", "echo $GREETING; pwd; sleep 2.5"],
            "chdir": str(tmp_path),
            "label": "thing (2 of 3)",
            "interval_s": 1.0,
            "expected_s": 100,
            "log": str(tmp_path / "logs" / "thing.log"),
        },
        environment={"GREETING": "hello"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.findall(r"^  … (.*)$", done.stdout, re.MULTILINE)
    assert len(shown) == 2
    assert all(re.fullmatch(r"thing \(2 of 3\), [12]s, about 1m40s left", line) for line in shown)
    assert result["changed"] is True
    assert result["rc"] == 0
    assert result["stdout_lines"] == ["hello", str(tmp_path)]
    assert 2.5 <= result["elapsed_s"] < 10
    log = (tmp_path / "logs" / "thing.log").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ sh -c .*", log[0])
    assert log[1:] == ["hello", str(tmp_path)]


def test_it_relays_lines(tmp_path: Path) -> None:
    done, _ = run(
        tmp_path,
        {
            "argv": ["sh", "-c", "echo first; sleep 2.5; echo second; sleep 1"],
            "relay": "lines",
            "interval_s": 1.0,
        },
    )
    shown = re.findall(r"^  … (.*)$", done.stdout, re.MULTILINE)
    assert shown[:3] == ["first", "first (2s)", "second"]


def test_a_failure_says_what_was_said_last_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    script = "for i in $(seq 40); do echo complaint $i >&2; done; exit 3"
    done, result = run(tmp_path, {"argv": ["sh", "-c", script], "label": "the build", "log": str(log)})
    assert done.returncode != 0
    assert result["failed"] is True
    assert result["rc"] == 3
    first, *rest = result["msg"].splitlines()
    assert first == "the build failed with exit status 3 after 0s:"
    assert rest == [f"complaint {i}" for i in range(26, 41)] + [f"All that it said is in {log}"]
    assert log.read_text(encoding="utf-8").count("complaint") == 40 + 1


def test_a_time_out_says_so(tmp_path: Path) -> None:
    _, result = run(tmp_path, {"argv": ["sleep", "30"], "timeout_s": 0.5})
    assert result["msg"] == "sleep did not end within 0s and was stopped; it said nothing"


def test_a_missing_command_is_one_sentence(tmp_path: Path) -> None:
    _, result = run(tmp_path, {"argv": ["no-such-command"], "label": "the build"})
    assert result["msg"].startswith("the build could not be run: [Errno 2] No such file or directory")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("check", [True, False])
def test_creates_and_check_mode(tmp_path: Path, *, there: bool, check: bool) -> None:
    if there:
        (tmp_path / "made").touch()
    arguments = {"argv": ["touch", "made", "ran"], "chdir": str(tmp_path), "creates": "made"}
    done, result = run(tmp_path, arguments, *(["--check"] if check else []))
    assert done.returncode == 0
    assert result["changed"] is not there
    assert (tmp_path / "ran").exists() is (not there and not check)


def test_changed_when_and_failed_when_are_the_tasks(tmp_path: Path) -> None:
    done, result = run(
        tmp_path, {"argv": ["sh", "-c", "exit 2"]}, failed_when="run.rc not in [0, 2]", changed_when=False
    )
    assert done.returncode == 0, done.stdout
    assert result["changed"] is False


def test_a_secret_is_neither_shown_nor_kept(tmp_path: Path) -> None:
    arguments = {
        "argv": ["sh", "-c", "echo hush; sleep 1; echo hush >&2; exit 1"],
        "relay": "lines",
        "interval_s": 0.3,
        "log": str(tmp_path / "log"),
    }
    done, _ = run(tmp_path, arguments, no_log=True)
    assert "hush" not in done.stdout + done.stderr
    assert not (tmp_path / "log").exists()


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    _, result = run(tmp_path, {"argv": ["true"], "relay": "smoke"})
    assert "value of relay must be one of: timer, lines" in result["msg"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_play_leaves_nothing_running(tmp_path: Path, signum: signal.Signals) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/command; wait"
    with (tmp_path / "out").open("wb") as out:
        play = subprocess.Popen(
            playbook(tmp_path, {"argv": ["sh", "-c", script]}), cwd=REPO, stdout=out, stderr=out
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


def test_a_long_line_is_cut_to_the_width_of_a_terminal() -> None:
    teller = progress.Teller({"relay": "lines", "expected_s": None}, "x")
    assert len(teller.line(1, "y" * 500)) == progress.WIDTH


def intervals(value: Any) -> list[float]:
    """All that tasks set as the time between two lines."""
    if isinstance(value, dict):
        own = [float(value["interval_s"])] if "interval_s" in value else []
        return own + [found for item in value.values() for found in intervals(item)]
    return [found for item in value for found in intervals(item)] if isinstance(value, list) else []


def test_nobody_waits_for_more_than_15_s_without_a_line() -> None:
    tasks = [*REPO.glob("roles/*/tasks/**/*.yml"), *REPO.glob("playbooks/**/*.yml")]
    found = [interval for path in tasks for interval in intervals(yaml.safe_load(path.read_text()))]
    assert found, "the search finds them"
    by_default = [
        progress.ARGUMENTS["interval_s"]["default"],
        inspect.signature(running.run).parameters["interval_s"].default,
    ]
    assert max(found + by_default) <= 15
