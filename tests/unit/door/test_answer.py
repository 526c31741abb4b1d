"""What a command answers: sentences for people, JSON for programs, both of one thing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.subcommands import subcommands

from failover_lab import cli
from failover_lab.door.answer import Answer, no
from failover_lab.door.check_mode import COMMANDS, Check, check


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any], str]:
    """The status, the answer, and what people read meanwhile."""
    try:
        status = cli.main(["--json", *words])
    except SystemExit as ended:
        status = int(ended.code or 0)
    out, err = capsys.readouterr()
    return status, json.loads(out), err


def password(tmp_path: Path) -> list[str]:
    (tmp_path / "password").write_text("secret", encoding="ascii")
    return [
        "htpasswd",
        "--username=me",
        f"--password-file={tmp_path / 'password'}",
        f"--out={tmp_path / 'out'}",
        "--rounds=4",
    ]


def test_people_read_sentences_and_programs_read_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = password(tmp_path)
    assert cli.main(words) == 0
    assert capsys.readouterr() == ("written\n", "")
    status, answer, said = answered(capsys, *words)
    assert (status, answer, said) == (0, {"data": {}, "changed": False, "why": ""}, "kept\n")


def test_no_is_status_one_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["wait-steady", f"--out={tmp_path}", "--timeout=0.2", "--for=0.1"]
    status, answer, said = answered(capsys, *words)
    assert status == 1
    assert answer["why"].startswith("not steady after 0.2 s: still missing")
    assert answer["why"] in said
    assert cli.main(words) == 1
    assert answer["why"].partition(";")[0] in capsys.readouterr().out


def test_an_error_is_told_without_its_prefix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer, said = answered(capsys, "stop", f"--out={tmp_path / 'nowhere'}")
    assert status == 2
    assert set(answer) == {"error"}
    assert said == f"failover-lab: error: {answer['error']}\n"


@pytest.mark.parametrize("words", [["no-such-command"], ["mark", "--out=.", "--at=tomorrow", "x"], []])
def test_so_is_one_in_what_was_typed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, answer, said = answered(capsys, *words)
    assert status == 2
    assert said == f"failover-lab: error: {answer['error']}\n"
    assert "--help)" in answer["error"]


def test_an_option_of_a_command_that_has_the_same_name_is_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["check-spread", "--url=http://127.0.0.1:9", "--json", "--requests=1", "--timeout=0.2"]
    status, answer, said = answered(capsys, *words)
    assert status == 1
    assert json.loads(said) == answer["data"]
    assert cli.main(words) == 1
    assert "why" not in json.loads(capsys.readouterr().out)


def test_what_was_said_before_a_crash_is_no_answer() -> None:
    script = (
        "import sys; from failover_lab import cli; from failover_lab.host import kernel\n"
        "kernel.held = lambda proc: 1 / 0\n"
        "sys.exit(cli.main(['--json', 'kernel', '--nodes=1']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout).keys() == {"error"}


def test_an_answer_has_a_status() -> None:
    assert Answer().status == 0
    assert no("it is not there", {"found": 1}).status == 1
    assert json.loads(no("it is not there", {"found": 1}, changed=True).as_json()) == {
        "data": {"found": 1},
        "changed": True,
        "why": "it is not there",
    }


def test_each_command_says_what_it_does_in_check_mode() -> None:
    assert {name.partition(" ")[0] for name in COMMANDS} == set(subcommands())
    for name in COMMANDS:
        command, _, word = name.partition(" ")
        parser = subcommands()[command]
        verbs = {
            verb for action in parser._actions if not action.option_strings for verb in action.choices or ()
        }
        assert not word or word in parser._option_string_actions or word in verbs, name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nodes", "--profile=lab"], Check.RUNS),
        (["evict", "--node=x"], Check.WOULD_CHANGE),
        (["belongings", "--profile=lab"], Check.RUNS),
        (["belongings", "--profile=lab", "--remember"], Check.MAY_CHANGE),
        (["start-nodes", "--profile=lab"], Check.MAY_CHANGE),
        (["start-nodes", "--profile=lab", "--nodes=lab-m02"], Check.WOULD_CHANGE),
        (["watchdog", "--release"], Check.MAY_CHANGE),
        (["wait-steady", "--out=x"], Check.MAY_CHANGE),
        (["wait-steady", "--out=x", "--mark=steady"], Check.WOULD_CHANGE),
    ],
)
def test_an_option_may_make_the_difference(words: list[str], expected: Check) -> None:
    assert check(words) is expected
