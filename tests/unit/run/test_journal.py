from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.failover_lab.lab.plugins.modules import journal as module_journal

from failover_lab.run import journal, lifetime

Object = dict[str, Any]
Module = Callable[..., Object]

ABOUT = {"kind": "drain", "node": "m02", "since": "2026-01-01T00:00:00Z"}


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with these words on its command line, which is whole once it has said something."""
    command = [sys.executable, "-c", "print('up', flush=True); input()", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        yield child
        child.kill()


@pytest.fixture
def other() -> Iterator[int]:
    """A process of somebody else's."""
    with process() as child:
        yield child.pid


@pytest.fixture
def ended() -> Object:
    """The journal of a process that has ended."""
    with process() as child:
        return ABOUT | {"pid": child.pid, "started": lifetime.started(child.pid)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.json"


def write(path: Path, content: Object | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


@pytest.fixture
def module(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Module:
    """Run the module in this process, which then is the play; gives back what it answered."""
    monkeypatch.setattr(journal, "controller", os.getpid)

    def run(state: str, *, check: bool = False, **more: Any) -> Object:
        arguments = {"path": str(path), "state": state, "content": ABOUT, "_ansible_check_mode": check} | more
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module_journal.main()
        answer: Object = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_a_process_is_known_by_its_number_and_its_start(other: int) -> None:
    assert lifetime.started(other) != lifetime.started(1)
    assert journal.is_alive({"pid": other, "started": lifetime.started(other)})
    assert lifetime.parent(other) == os.getpid()


def test_a_command_with_odd_characters_hides_nothing(tmp_path: Path) -> None:
    odd = tmp_path / "a) b (c"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "30"]) as child:
        assert int(lifetime.started(child.pid) or 0) >= int(lifetime.started(os.getpid()) or 0) > 0
        assert lifetime.parent(child.pid) == os.getpid()
        child.kill()


def test_a_play_that_nobody_has_waited_for_is_over(path: Path, module: Module) -> None:
    """In a container without an init an ansible-playbook that has ended stays a zombie."""
    with process("ansible-playbook") as child:
        found = ABOUT | {"pid": child.pid, "started": lifetime.started(child.pid)}
        assert journal.is_alive(found)
        child.kill()
        # It has ended, and is not waited for yet.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}/stat").exists()
        assert not journal.is_alive(found)
        write(path, found)
        assert not module("read")["alive"]
        assert "was interrupted" in module("open")["msg"]
        assert module("closed")["changed"]


@pytest.fixture
def of_before(path: Path, ended: Object) -> Path:
    """The journal of an interrupted run of the version before."""
    old = path.with_name("run.json")
    write(old, ended)
    return old


def test_an_interrupted_run_of_the_version_before_is_found_and_closed(
    path: Path, module: Module, of_before: Path, ended: Object
) -> None:
    assert journal.read(path) == ended
    assert module("read")["found"] == ended
    assert "was interrupted" in module("open")["msg"]
    assert module("closed", check=True)["changed"]
    assert of_before.exists()
    assert module("closed")["changed"]
    assert list(path.parent.iterdir()) == []
    assert module("open")["changed"]
    assert [file.name for file in path.parent.iterdir()] == ["journal.json"]


def test_what_heals_a_run_of_the_version_before_goes_on_under_the_new_name(
    path: Path, module: Module, of_before: Path, ended: Object
) -> None:
    # In the former word, too.
    assert module("noted", content={"healed": True}, step="start m02")["changed"]
    assert not of_before.exists()
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found | {"steps": []} == ended | {"healed": True, "steps": []}
    assert [row["step"] for row in found["steps"]] == ["start m02"]


def test_another_file_than_the_journal_has_no_former_name(path: Path, of_before: Path) -> None:
    """As of the watchdog's lock, which is read in the same way."""
    assert of_before.exists()
    assert journal.read(path.with_name("watchdog.lock")) == {}


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"damaged": True},
        {"pid": 0, "started": None},
        {"pid": -1, "started": None},
        {"pid": "1", "started": lifetime.started(1)},
        {"pid": 2**22 + 1, "started": None},
        {"pid": os.getpid()},
        {"pid": os.getpid(), "started": "1"},
    ],
)
def test_what_does_not_live(found: Object) -> None:
    assert not journal.is_alive(found)


def test_no_such_process() -> None:
    gone = 2**22 + 1  # more than the kernel gives out
    assert lifetime.started(gone) is None
    assert lifetime.parent(gone) == 0
    assert not journal.is_play(gone)


@pytest.mark.parametrize(
    ("words", "play"),
    [
        (["/opt/lab/bin/ansible-playbook", "setup.yml"], True),
        (["ansible-playbook"], True),
        (["-u", "x/ansible-playbook", "setup.yml"], True),
        (["ansible-playbook setup.yml; sleep 60"], False),
        (["my-ansible-playbook"], False),
        (["ansible-playbook.md"], False),
    ],
)
def test_which_process_is_a_play(words: list[str], *, play: bool) -> None:
    with process(*words) as child:
        assert journal.is_play(child.pid) is play


@pytest.mark.parametrize(
    ("plays", "controls"),
    [
        (set(), 60),
        ({40}, 40),
        ({40, 30}, 30),
        ({40, 30, 10}, 30),  # 20 between them is none: 10 is another play, which began all this
        ({10}, 10),
    ],
)
def test_the_play_is_the_farthest_in_an_unbroken_line(
    monkeypatch: pytest.MonkeyPatch, plays: set[int], controls: int
) -> None:
    line = {60: 50, 50: 40, 40: 30, 30: 20, 20: 10, 10: 1, 1: 0, 0: 0}
    monkeypatch.setattr(os, "getppid", lambda: 60)
    monkeypatch.setattr(lifetime, "parent", lambda pid: line[pid])
    monkeypatch.setattr(journal, "is_play", lambda pid: pid in plays)
    assert journal.controller() == controls


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1', "[]", "null", '"drain"'])
def test_a_damaged_journal_is_still_one(path: Path, content: str) -> None:
    write(path, content)
    assert journal.read(path) == {"damaged": True}


def test_bytes_that_are_no_text_are_damage(path: Path) -> None:
    write(path, "")
    path.write_bytes(b"\xff\xfe{")
    assert journal.read(path) == {"damaged": True}


def test_no_journal(path: Path, module: Module) -> None:
    assert journal.read(path) == {}
    answer = module("read")
    assert (answer["found"], answer["alive"], answer["changed"]) == ({}, False, False)
    assert answer["pid"] == os.getpid()
    assert not module("closed")["changed"]
    assert not path.parent.exists()


def test_opened_read_and_closed(path: Path, module: Module) -> None:
    assert module("open")["changed"]
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == ABOUT | {"pid": os.getpid(), "started": lifetime.started(os.getpid())}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]

    answer = module("read")
    assert answer["found"] == written
    assert not answer["alive"], "one's own run is not another one"
    assert not answer["changed"]

    assert module("closed")["changed"]
    assert not path.exists()
    assert not module("closed")["changed"]


def test_one_s_own_journal_may_be_opened_again(path: Path, module: Module) -> None:
    module("open")
    assert module("open")["changed"]


def test_another_run_is_alive(path: Path, module: Module, other: int) -> None:
    kept = ABOUT | {"pid": other, "started": lifetime.started(other)}
    write(path, kept)
    assert module("read")["alive"]
    answer = module("open")
    assert answer["failed"]
    assert answer["msg"].startswith(
        f"Another run is going on: drain of m02, process {other}, since 2026-01-01"
    )
    assert journal.read(path) == kept


def test_another_run_was_killed(path: Path, module: Module, ended: Object) -> None:
    write(path, ended)
    answer = module("read")
    assert answer["found"] == ended
    assert not answer["alive"]
    answer = module("open")
    assert answer["failed"]
    assert "run `ansible-playbook recover.yml` first" in answer["msg"]
    assert journal.read(path) == ended
    assert module("closed")["changed"]
    assert module("open")["changed"]


@pytest.mark.parametrize("whose", ["other", "mine"])
def test_a_number_that_is_used_again_is_another_process(
    path: Path, module: Module, other: int, whose: str
) -> None:
    kept = ABOUT | {"pid": other if whose == "other" else os.getpid(), "started": "1"}
    write(path, kept)
    assert not module("read")["alive"]
    assert "was interrupted" in module("open")["msg"]
    assert journal.read(path) == kept


def test_a_damaged_journal_is_an_interrupted_run(path: Path, module: Module) -> None:
    write(path, '{"pid": ')
    answer = module("read")
    assert answer["found"] == {"damaged": True}
    assert not answer["alive"]
    assert "was interrupted" in module("open")["msg"]
    assert module("closed")["changed"]
    assert not path.exists()


def test_check_mode_writes_and_removes_nothing(path: Path, module: Module) -> None:
    assert module("open", check=True)["changed"]
    assert not path.parent.exists()
    module("open")
    before = path.read_bytes()
    assert module("open", check=True)["changed"]
    assert module("closed", check=True)["changed"]
    assert path.read_bytes() == before


def test_check_mode_refuses_as_well(path: Path, module: Module, other: int) -> None:
    write(path, ABOUT | {"pid": other, "started": lifetime.started(other)})
    assert module("open", check=True)["failed"]


def test_steps_are_added_one_by_one(path: Path, module: Module) -> None:
    module("open")
    assert module("added", content={"awaits": "operator"}, step="wait")["changed"]
    module("added", content={"awaits": ""}, step="go on")
    module("added", content={"more": 1})
    found = journal.read(path)
    assert found | {"steps": []} == ABOUT | {
        "pid": os.getpid(),
        "started": lifetime.started(os.getpid()),
        "awaits": "",
        "more": 1,
        "steps": [],
    }
    assert [row["step"] for row in found["steps"]] == ["wait", "go on"]
    assert all(row["at"].startswith("20") for row in found["steps"])


def test_nothing_is_added_to_another_run_that_lives(path: Path, module: Module, other: int) -> None:
    kept = ABOUT | {"pid": other, "started": lifetime.started(other)}
    write(path, kept)
    assert "no journal of this run" in module("added", content={}, step="x")["msg"]
    assert module("added", check=True, content={}, step="x")["failed"]
    assert journal.read(path) == kept


def test_another_run_that_lives_is_not_closed(path: Path, module: Module, other: int) -> None:
    kept = ABOUT | {"pid": other, "started": lifetime.started(other)}
    write(path, kept)
    answer = module("closed")
    assert answer["failed"]
    assert f"no journal of this run any more: it is that of process {other}" in answer["msg"]
    assert module("closed", check=True)["failed"]
    assert journal.read(path) == kept


def test_whose_a_journal_is(path: Path, module: Module, other: int, ended: Object) -> None:
    assert not module("read")["mine"]
    module("open")
    assert module("read")["mine"]
    for kept in (ABOUT | {"pid": other, "started": lifetime.started(other)}, ended):
        write(path, kept)
        assert not module("read")["mine"]


@pytest.mark.parametrize("state", ["open", "added", "closed"])
def test_nobody_writes_between_reading_and_writing(
    path: Path, module: Module, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    module("open")
    looked: list[bool] = []

    reading = journal.read

    def read(file: Path) -> Object:
        number = os.open(path.parent, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            looked.append(True)
        finally:
            os.close(number)
        return reading(file)

    monkeypatch.setattr(journal, "read", read)
    assert module(state)["changed"]
    assert looked == [True]


def test_whoever_puts_a_dead_run_right_adds_to_its_journal(path: Path, module: Module, ended: Object) -> None:
    write(path, ended)
    assert module("added", content={}, step="add a node")["changed"]
    found = journal.read(path)
    assert found["pid"] == ended["pid"]
    assert not journal.is_alive(found)
    assert [row["step"] for row in found["steps"]] == ["add a node"]


def test_where_there_is_no_journal_there_is_nothing_to_add_to(path: Path, module: Module) -> None:
    assert not module("added", content={}, step="x")["changed"]
    assert not path.exists()


def test_check_mode_adds_nothing(path: Path, module: Module) -> None:
    module("open")
    before = path.read_bytes()
    assert module("added", check=True, content={}, step="x")["changed"]
    assert path.read_bytes() == before


def test_in_a_play_it_is_the_play_s(tmp_path: Path) -> None:
    """There it needs no process of its own."""
    kept = tmp_path / "state" / "journal.json"
    opened = {"failover_lab.lab.journal": {"path": str(kept), "state": "open", "content": ABOUT}}
    read = {"failover_lab.lab.journal": {"path": str(kept), "state": "read"}, "register": "found"}
    keep = {
        "ansible.builtin.copy": {"content": "{{ found | to_json }}", "dest": str(tmp_path / "found.json")}
    }
    late = {"failover_lab.lab.journal": {"path": "/proc/none/x", "state": "open"}, "ignore_errors": True}
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "connection": "local",
            "tasks": [opened, read, keep, late],
        }
    ]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    # The journal is open when the play ends: what its callback starts then is here.
    recover = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {}}]}]
    (tmp_path / "recover.yml").write_text(json.dumps(recover), encoding="utf-8")
    with subprocess.Popen(
        ["ansible-playbook", str(tmp_path / "play.yml")],
        cwd=Path(__file__).resolve().parents[3],
        # As a play does that is not the lab's own.
        env=os.environ | {"ANSIBLE_CALLBACKS_ENABLED": "failover_lab.lab.interrupted"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        output = running.communicate(timeout=60)[0]
    assert running.returncode == 0, output
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert (found["mine"], found["alive"], found["changed"]) == (True, False, False)
    assert found["found"]["pid"] == found["pid"] == running.pid
    assert "/proc/none/x could not be kept" in output
    assert "Putting right what the run has left" in output
    # Its process is over now.
    assert not journal.is_alive(journal.read(kept))
