"""Steps beside each other: in which order, how many, what is told, what a failure or an interrupt leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.action import steps as action
from ansible_collections.failover_lab.lab.plugins.plugin_utils import steps
from tests.plays import by_night

REPO = Path(__file__).resolve().parents[3]


def step(name: str, script: str = "true", *, needs: Sequence[str] = (), **options: Any) -> steps.Step:
    return steps.Step(name, f"the {name}", ["sh", "-c", script], needs=needs, **options)


def order(*rows: steps.Step, **at_once: int) -> list[set[str]]:
    """Which steps run at the same time, if they end all together; no command is run."""
    plan, found = steps.Plan(rows, at_once), []
    while plan.waiting:
        while following := plan.next():
            plan.start(following)
        found.append({running.name for running in plan.running})
        for running in list(plan.running):
            plan.end(running)
    return found


def test_what_needs_nothing_begins_at_once() -> None:
    assert order(step("a"), step("b"), step("c", needs=["a", "b"])) == [{"a", "b"}, {"c"}]


def test_of_a_kind_only_so_many_run() -> None:
    rows = [step(name, kind="build") for name in "abc"] + [step("d")]
    assert order(*rows, build=2) == [{"a", "b", "d"}, {"c"}]


def test_every_step_is_one_of_all() -> None:
    rows = [step("a", kind="build"), step("b", kind="fetch"), step("c")]
    assert order(*rows, all=1) == [{"a"}, {"b"}, {"c"}]


def test_who_waits_lets_those_behind_it_begin() -> None:
    rows = [step("a"), step("b", needs=["a"], kind="build"), step("c", kind="build")]
    assert order(*rows, build=1) == [{"a", "c"}, {"b"}]


def test_what_is_done_is_neither_run_nor_waited_for() -> None:
    assert order(step("a", done=True), step("b", needs=["a"])) == [{"b"}]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([step("a"), step("a")], "there are two steps a"),
        ([step("a", needs=["b"]), step("b")], "a needs b, which does not stand before it"),
        ([step("a", needs=["a"])], "a needs a, which does not stand before it"),
    ],
)
def test_steps_that_can_never_be_run_are_refused(rows: list[steps.Step], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        steps.Plan(rows, {})


def test_they_run_at_the_same_time(tmp_path: Path) -> None:
    meet = "touch {0}; until [ -e {1} ]; do sleep 0.02; done"
    one, other = tmp_path / "one", tmp_path / "other"
    plan = steps.Plan([step("a", meet.format(one, other)), step("b", meet.format(other, one))], {})
    steps.run(plan)
    assert (plan.running, plan.waiting, plan.count) == ([], [], 2)


def test_one_that_needs_another_sees_what_it_made(tmp_path: Path) -> None:
    rows = [
        step("a", "sleep 0.3; echo $WORD > made", chdir=str(tmp_path), environment={"WORD": "hello"}),
        step("b", "cat made", needs=["a"], chdir=str(tmp_path), log=str(tmp_path / "logs" / "b.log")),
    ]
    steps.run(steps.Plan(rows, {}))
    first, *rest = (tmp_path / "logs" / "b.log").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ sh -c 'cat made'", first)
    assert rest == ["hello"]


def test_one_that_stands_back_does_so_among_all_sessions() -> None:
    # Not every kernel has such groups.
    told = '[ "$(nice)" = 7 ] && ! grep -v "nice 7$" /proc/self/autogroup'
    script = f"timeout --foreground 60 sh -c 'until {told}; do sleep 0.02; done'"
    steps.run(steps.Plan([step("a", script, nice=7)], {}))


def test_a_failure_ends_those_beside_it_and_begins_no_other(tmp_path: Path) -> None:
    rows = [
        step("a", f"sleep 60 & echo $! > {tmp_path}/child; wait"),
        step("b", f"until [ -s {tmp_path}/child ]; do sleep 0.02; done; echo oh >&2; exit 3"),
        step("c", f"touch {tmp_path}/begun", needs=["b"]),
    ]
    with pytest.raises(steps.StepError) as failed:
        steps.run(steps.Plan(rows, {}))
    assert failed.value.step.name == "b"
    assert failed.value.outcome is not None
    assert (failed.value.outcome.rc, failed.value.outcome.stderr.text()) == (3, "oh")
    child = int((tmp_path / "child").read_text(encoding="ascii"))
    assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "begun").exists()


def test_lines_come_while_nobody_says_a_word() -> None:
    ticks: list[int] = []
    plan = steps.Plan([step("a", "sleep 0.5"), step("b", "exec >&- 2>&-; sleep 0.5")], {})
    steps.run(plan, interval_s=0.1, tick=lambda _: ticks.append(len(plan.running)))
    assert ticks.count(2) >= 3


def halfway(elapsed_s: float) -> steps.Plan:
    """Two of four equal steps are done, the third has begun."""
    plan = steps.Plan([step(name, expected_s=100) for name in "abcd"], {"all": 2})
    for name in "ab":
        plan.start(plan.steps["ab".index(name)])
    plan.work(elapsed_s, elapsed_s)
    for running in list(plan.running):
        plan.end(running)
    plan.start(plan.steps[2])
    return plan


def test_the_estimate_goes_by_what_is_done_and_how_long_that_took() -> None:
    assert halfway(200).left_s(200) == pytest.approx(200)
    assert halfway(400).left_s(400) == pytest.approx(400, rel=0.05)


def test_the_estimate_shrinks_while_a_step_runs_and_waits_for_one_that_is_late() -> None:
    plan = halfway(200)
    plan.work(50, 250)
    assert plan.left_s(250) == pytest.approx(150, rel=0.05)
    plan.work(500, 750)
    assert plan.left_s(750) > 150


def test_what_was_there_before_promises_no_speed() -> None:
    plan = steps.Plan([step("a", expected_s=1000, done=True), step("b", expected_s=100)], {})
    assert plan.left_s(0) == pytest.approx(100)


def playbook(tmp_path: Path, arguments: dict[str, Any], **keywords: object) -> list[str]:
    task: dict[str, Any] = {"name": "Run them", "failover_lab.lab.steps": arguments, "register": "run"}
    show = {"ansible.builtin.copy": {"content": "{{ run | to_json }}", "dest": str(tmp_path / "result.json")}}
    keep = {"name": "Keep the result", "check_mode": False, **show}
    tasks = [{"block": [task | keywords], "always": [keep]}]
    path = tmp_path / "play.yml"
    path.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
    )
    return ["ansible-playbook", str(path)]


def row(name: str, script: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "label": f"the {name}", "argv": ["sh", "-c", script], "expected_s": 100} | options


def play(
    tmp_path: Path, rows: list[dict[str, Any]], *options: str, **keywords: object
) -> tuple[str, dict[str, Any]]:
    argv = playbook(tmp_path, {"steps": rows, "interval_s": 1.0}, **keywords)
    done = subprocess.run(
        [*argv, *options], cwd=REPO, capture_output=True, text=True, check=False, timeout=60
    )
    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    return done.stdout, result


def test_it_tells_what_runs_what_is_done_and_how_long_is_left(tmp_path: Path) -> None:
    rows = [
        row("first", "sleep 1.5"),
        row("second", "echo $GREETING > $TO; sleep 2.5", environment={"TO": str(tmp_path / "said")}),
        row("third", "true", needs=["first", "second"]),
        row("fourth", "true", done=True),
    ]
    said, result = play(tmp_path, rows, environment={"GREETING": "hello"})
    shown = re.findall(r"^  … (.*)$", said, re.MULTILINE)
    assert shown[0] == "the first, the second (0 of 3 done, 1s, about 5m00s left)"
    assert re.fullmatch(r"done after 2s: the first \(1 of 3 done, 2s, about \d+s left\)", shown[1])
    assert re.fullmatch(r"the second \(1 of 3 done, [23]s, about \d+s left\)", shown[2])
    assert re.fullmatch(r"done after [34]s: the second \(2 of 3 done, [34]s, about \d+s left\)", shown[-2])
    assert re.fullmatch(r"done after 0s: the third \(3 of 3 done, [34]s\)", shown[-1])
    assert (tmp_path / "said").read_text(encoding="ascii") == "hello\n"
    assert (result["changed"], result["steps"]) == (True, ["first", "second", "third"])


def test_a_failure_is_told_with_what_it_said_last_and_where_the_rest_is(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    rows = [row("one", "sleep 30"), row("other", "seq 40 >&2; exit 3", log=log)]
    _, result = play(tmp_path, rows)
    assert result["failed"] is True
    first, *rest = result["msg"].splitlines()
    assert first == "the other failed with exit status 3 after 0s:"
    assert rest == [*map(str, range(26, 41)), f"All that it said is in {log}"]


def test_a_missing_command_is_one_sentence(tmp_path: Path) -> None:
    _, result = play(tmp_path, [row("one", "sleep 30"), row("other", "") | {"argv": ["no-such-command"]}])
    assert result["msg"].startswith("the other could not be run: [Errno 2] No such file or directory")


def test_check_mode_says_what_would_be_made(tmp_path: Path) -> None:
    made = tmp_path / "made"
    rows = [row("one", "true", done=True), row("other", f"touch {made}"), row("third", f"touch {made}")]
    said, result = play(tmp_path, rows, "--check")
    assert (result["changed"], result["steps"]) == (True, ["other", "third"])
    assert re.findall(r"^  … (.*)$", said, re.MULTILINE) == [
        "would be made: the other",
        "would be made: the third",
    ]
    assert not made.exists()


def test_when_all_is_done_nothing_is_changed(tmp_path: Path) -> None:
    _, result = play(tmp_path, [row("one", "false", done=True)])
    assert (result["changed"], result["steps"]) == (False, [])


def test_steps_in_a_wrong_order_are_refused(tmp_path: Path) -> None:
    _, result = play(tmp_path, [row("one", "true", needs=["two"])])
    assert (result["failed"], result["msg"]) == (True, "one needs two, which does not stand before it")


# The others it hears as the action `progress` does, which is tested with each by day.
@pytest.mark.parametrize(
    "signum", by_night((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), (signal.SIGTERM, signal.SIGKILL))
)
def test_an_interrupted_play_leaves_nothing_running(tmp_path: Path, signum: signal.Signals) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/$NAME; wait"
    rows = [row(name, script, environment={"NAME": name}) for name in ("one", "other")]
    with (tmp_path / "out").open("wb") as out:
        argv = playbook(tmp_path, {"steps": rows})
        running = subprocess.Popen(argv, cwd=REPO, stdout=out, stderr=out)
    pids = []
    deadline = time.monotonic() + 20
    for path in (tmp_path / "one", tmp_path / "other"):
        while not (path.exists() and path.read_text(encoding="ascii").strip()):
            assert time.monotonic() < deadline, (tmp_path / "out").read_text(encoding="utf-8")
            time.sleep(0.05)
        pids.append(int(path.read_text(encoding="ascii")))
    running.send_signal(signum)
    assert running.wait(timeout=20) != 0
    deadline = time.monotonic() + 8
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_nobody_waits_for_more_than_15_s_without_a_line() -> None:
    assert action.ARGUMENTS["interval_s"]["default"] <= 15
