"""What a person sees of a play: little of what is well, all of what is not."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.failover_lab.lab.plugins.callback import screen
from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud

LONG = "The site cannot be asked so: " + "it says nothing of it, " * 12 + "so give it a path."


class Screen:
    """The callback, and the lines that it has put on the screen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        self.colours: list[str | None] = []
        self.callback = screen.CallbackModule()
        monkeypatch.setattr(self.callback._display, "display", self._take)
        monkeypatch.setattr(self.callback._display, "verbosity", 0)

    def _take(self, text: str, color: str | None = None, **_more: Any) -> None:
        self.lines += text.split("\n")
        self.colours.append(color)

    def phase(self, name: str, role: str | None = None) -> None:
        task = SimpleNamespace(_role=role, get_name=lambda: name)
        self.callback.v2_playbook_on_task_start(task, is_conditional=False)

    def task(
        self,
        name: str,
        result: dict[str, Any],
        action: str = "failover_lab.lab.k8s",
        ended: str = "ok",
        **more: Any,
    ) -> None:
        facts = {"check_mode": False, "loop": None, "ignore_unreachable": False, "become": False} | more
        task = SimpleNamespace(
            _role="a",
            action=action,
            get_name=lambda: name,
            get_path=lambda: f"{Path.cwd()}/roles/a.yml:7",
            **facts,
        )
        host = SimpleNamespace(get_name=lambda: "localhost")
        getattr(self.callback, f"v2_runner_on_{ended}")(SimpleNamespace(task=task, host=host, result=result))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(screen, "takes", lambda _text: True)
    monkeypatch.setattr(aloud, "_heading", "")
    monkeypatch.setattr(aloud, "_told", multiprocessing.RawValue("b", 1))
    return Screen(monkeypatch)


def test_what_is_only_looked_at_is_not_shown(seen: Screen) -> None:
    seen.phase("Preflight")
    seen.task("fault : Preflight | The kind of fault is known", {"changed": False})
    seen.task("fault : Preflight | Say what is called otherwise now", {"skipped": True}, ended="skipped")
    seen.phase("Fault")
    assert seen.lines == []


def test_a_phase_that_takes_a_while_has_a_line_although_nothing_is_said_in_it(
    seen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    seen.phase("Preflight")
    now[0] += screen._WORTH_S - 0.1
    seen.phase("fault : Preflight | The kind of fault is known", role="fault")
    assert seen.lines == []
    now[0] += 0.1
    seen.phase("fault : Preflight | The node is there", role="fault")
    seen.phase("Steady state")
    now[0] += 5
    seen.phase("Fault")
    assert seen.lines == ["▸ Preflight", "▸ Steady state"]


def test_tasks_of_one_phase_share_its_line(seen: Screen) -> None:
    for name in ("Preflight | Settings", "Preflight | Names"):
        seen.phase(name)
        seen.task("cluster : Settings | Say", {"msg": name}, "ansible.builtin.debug")
    assert seen.lines == ["▸ Preflight", "  Preflight | Settings", "  Preflight | Names"]


def test_what_is_said_while_a_task_runs_stands_beneath_its_phase(seen: Screen) -> None:
    """A task has a process of its own, which the play's knows nothing of but what both look at."""
    seen.phase("Cluster")
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        for line in ("  … 20s", "  … 40s"):
            aloud.say(line, lambda text: os.write(writing, f"{text}\n".encode()))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.close(writing)
    with os.fdopen(reading) as told:
        assert told.read().splitlines() == ["▸ Cluster", "  … 20s", "  … 40s"]
    seen.task("cluster : Start | minikube", {"changed": True})
    assert seen.lines == ["  changed: minikube"]


def test_without_this_callback_what_is_said_has_no_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aloud, "_told", SimpleNamespace(value=1))
    lines: list[str] = []
    aloud.say("  … 20s", lines.append)
    assert lines == ["  … 20s"]


def test_a_file_that_the_lab_keeps_is_not_shown_and_one_of_the_machines_is(seen: Screen) -> None:
    seen.phase("Registry")
    for action in ("copy", "file", "template"):
        seen.task("registry : Own | A password", {"changed": True}, f"ansible.builtin.{action}")
    seen.task("engine : Start | let this user", {"changed": True}, "ansible.builtin.file", become=True)
    gone = {"changed": True, "state": "absent"}
    seen.task("cluster : Absent | Forget the lab's state", gone, "ansible.builtin.file")
    assert seen.lines == ["▸ Registry", "  changed: let this user", "  changed: Forget the lab's state"]


def test_what_changed_is_shown_and_not_what_is_noted_of_it(seen: Screen) -> None:
    seen.phase("Fault")
    seen.task(
        "fault : Begin | Mark it", {"changed": True, "cmd": ["mark", "fault_begin"]}, "failover_lab.lab.lab"
    )
    seen.task("journal : Open | Write it down", {"changed": True}, "failover_lab.lab.journal")
    seen.task("witness : Start | Ask", {"changed": True, "ansible_job_id": "j1"}, "failover_lab.lab.lab")
    seen.task("witness : Stop | Wait", {"changed": True, "finished": True}, "failover_lab.lab.lab")
    seen.task("fault : Inject | Evict the pods", {"changed": True, "cmd": ["evict"]}, "failover_lab.lab.lab")
    seen.task("fault : Inject | Cordon it", {"changed": True}, check_mode=True)
    assert seen.lines == ["▸ Fault", "  changed: Evict the pods", "  would change: Cordon it"]


def test_what_a_play_says_is_shown_line_by_line(seen: Screen) -> None:
    seen.phase("Summary")
    seen.task("Summary", {"msg": ["Passed: none was lost", "Report: r.html"]}, "ansible.builtin.debug")
    assert seen.lines == ["▸ Summary", "  Passed: none was lost", "  Report: r.html"]


def test_an_error_is_told_once_and_whole(seen: Screen) -> None:
    seen.phase("Preflight")
    seen.task(
        "fault : Preflight | It is known",
        {"failed": True, "msg": LONG, "exception": "traceback"},
        ended="failed",
    )
    assert seen.lines == [
        "▸ Preflight",
        "  ✕ It is known",
        f"    {LONG}",
        "    in roles/a.yml:7; -v shows all of it",
    ]
    assert constants.COLOR_ERROR in seen.colours


def test_with_diff_it_shows_what_is_changed(seen: Screen) -> None:
    seen.phase("Site")
    diff = {"before": "one\n", "after": "two\n", "before_header": "a", "after_header": "b"}
    for changed in (True, False):
        task = SimpleNamespace(loop=None)
        found = {"changed": changed, "diff": diff}
        seen.callback.v2_on_file_diff(SimpleNamespace(task=task, result=found))
    assert [line for line in seen.lines if "one" in line or "two" in line] == ["-one", "+two"]


def test_of_a_command_that_failed_all_is_shown_that_it_said(seen: Screen) -> None:
    found = {"failed": True, "msg": "non-zero return code", "stderr": "no such\nthing", "stdout": "tried"}
    seen.task("image : Push | Build", found, ended="failed")
    assert [line.strip() for line in seen.lines][1:5] == ["non-zero return code", "no such", "thing", "tried"]


def test_each_of_several_is_told_and_their_sum_is_not(seen: Screen) -> None:
    seen.task(
        "a : B", {"failed": True, "msg": "One or more items failed", "results": [1]}, ended="failed", loop="x"
    )
    assert seen.lines == []
    host = SimpleNamespace(get_name=lambda: "localhost")
    task = SimpleNamespace(get_name=lambda: "a : B", get_path=lambda: "", check_mode=False, action="x")
    result = SimpleNamespace(task=task, host=host, result={"msg": "it is gone", "item": "m02"})
    seen.callback.v2_runner_item_on_failed(result)
    assert seen.lines == ["  ✕ B (m02)", "    it is gone"]


def test_on_a_narrow_terminal_a_line_is_broken_and_not_cut(
    seen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen.callback, "_width", lambda: 80)
    seen.task("Summary", {"msg": [LONG, "    cd /a/path && " + "x" * 100]}, "ansible.builtin.debug")
    *text, typed = seen.lines
    assert max(map(len, text)) <= 80
    assert " ".join(line.strip() for line in text) == LONG
    # What is to be copied has no break in it.
    assert typed.endswith("x" * 100)


@pytest.mark.parametrize(
    ("variables", "fits"),
    [({"LC_ALL": "C"}, False), ({"LANG": "POSIX"}, False), ({"LANG": "en_GB.UTF-8"}, True), ({}, True)],
)
def test_without_utf8_signs_are_plain(
    variables: dict[str, str], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = SimpleNamespace(encoding="utf-8")
    assert screen.takes("▸", stream) is fits
    assert screen.takes(">", stream)
    assert not screen.takes("▸", SimpleNamespace(encoding="ascii"))


def test_without_utf8_nothing_is_left_out(seen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "takes", str.isascii)
    seen.phase("Café")
    seen.task("a : B", {"failed": True, "msg": "no «such» thing"}, ended="failed")
    assert seen.lines[:3] == ["> Caf?", "  FAILED: B", "    no ?such? thing"]


OWN = [name for name in vars(screen.CallbackModule) if name.startswith("v2_")]


@pytest.mark.parametrize("name", OWN)
def test_with_v_it_is_ansibles_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(Default, name, lambda _self, *_args, **_keywords: called.append(name), raising=False)
    callback = screen.CallbackModule()
    monkeypatch.setattr(callback._display, "verbosity", 1)
    method: Callable[..., Any] = getattr(callback, name)
    method(*[None] * (method.__wrapped__.__code__.co_argcount - 1))  # type: ignore[attr-defined]
    assert called == [name]


def test_it_ends_with_one_line(seen: Screen) -> None:
    counts = {"ok": 61, "changed": 3, "failures": 0, "unreachable": 0}
    seen.callback.v2_playbook_on_stats(
        SimpleNamespace(processed={"localhost": 1}, summarize=lambda _host: counts)
    )
    assert seen.lines == ["localhost: ok=61 changed=3 failed=0 in 0s"]


def test_all_that_ansibles_own_shows_is_thought_of() -> None:
    """A step of a play that its own callback shows, in this Ansible or a later one, is not passed over."""
    shown = {name for name in vars(Default) if name.startswith("v2_")}
    # These say what they say as ever.
    assert shown - set(OWN) <= {
        "v2_playbook_on_no_hosts_matched",
        "v2_playbook_on_start",
        "v2_runner_on_async_failed",
        "v2_runner_on_start",
    }
