"""What the pages tell a reader to type was typed.

Plays by the tests before these, with the same settings; what is small, here, word for word.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.pages import all_typed, commands_of

from .conftest import ORDER, PROFILE, ROOT

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

PLAY = "ansible-playbook"
# A reader's own surroundings.
THEIRS = re.compile(r"(\.|export|ssh|cd) ")
# What other tests do, and which.
ELSEWHERE = {
    "make test": "README.md: it runs the story",
    "make env": "scripts/env.sh: made what this runs in",
    "make lab": "tests/cluster/test_drain.py: in this lab",
    "molecule test --destroy=never": "tests/molecule/test_whole_lab.py: a scenario",
    "molecule test --scenario-name=drain": "tests/molecule/test_whole_lab.py: a scenario",
    "molecule test --scenario-name=sudden": "tests/molecule/test_whole_lab.py: a scenario",
    "molecule destroy": "tests/molecule/test_whole_lab.py: at their end",
    "python -m failover_lab watchdog --clear-flows": (
        "tests/cluster/test_watchdog_kept_on.py: until it is told to end"
    ),
    "sudo install -D -m 644 ca.crt /etc/docker/certs.d/registry.example.org:5000/ca.crt": (
        "molecule/alternative/tasks/registry.yml: the same file"
    ),
    "kubectl apply --filename=docs/how-to/rights.yml": (
        "tests/cluster/test_their_application.py: the same file"
    ),
    # With a context, an address and an image that are the reader's own.
    **dict.fromkeys(
        (
            f"ansible-playbook failover.yml {check}-e cluster_provider=existing -e lab_profile=my-context "
            "-e fault_namespace=shop -e fault_service=web -e witness_url=https://shop.example.org/"
            for check in ("", "--check ")
        ),
        "tests/cluster/test_their_application.py: with the lab's",
    ),
    "ansible-playbook setup.yml -e site_image=docker.io/library/httpd:2.4": (
        "tests/cluster/test_existing.py: with one that can be pulled here"
    ),
    # On clusters that come after these tests.
    "ansible-playbook setup.yml -e lab_profile=three -e cluster_control_planes=3": (
        "tests/cluster/test_control_plane.py: under another name"
    ),
    "ansible-playbook failover.yml -e lab_profile=three -e fault_kind=kill -e fault_node=primary": (
        "tests/cluster/test_control_plane.py: likewise"
    ),
    "ansible-playbook setup.yml -e lab_profile=zones -e cluster_nodes=6 -e cluster_zones=3": (
        "tests/cluster/test_zone.py: with five nodes"
    ),
    "ansible-playbook failover.yml -e lab_profile=zones -e fault_kind=kill -e fault_node=zone:zone-b": (
        "tests/cluster/test_zone.py: with a watchdog"
    ),
}
# Goes on until its reader ends it.
REPLAY = "python -m failover_lab replay reports/latest"
ENCRYPT = "ansible-vault encrypt_string --ask-vault-pass --prompt"
ENCRYPTED = "ansible-playbook setup.yml --ask-vault-pass"


def plain(line: str) -> str:
    """A line without what only arranges it on its page."""
    return " ".join(line.split())


def small(line: str) -> bool:
    """Whether these tests type it themselves."""
    return not (THEIRS.match(line) or plain(line) in ELSEWHERE or PLAY in line or line == ENCRYPT)


def split(argv: list[str]) -> tuple[str, set[str], dict[str, Any]]:
    """The playbook, the options but for settings, and the settings."""
    settings: dict[str, Any] = {}
    words = iter(argv[1:])
    plain = []
    for word in words:
        if word != "-e":
            plain.append(word)
        elif (given := next(words)).startswith("{"):
            settings |= json.loads(given)
        elif not given.startswith("@"):
            settings |= dict(pair.split("=", 1) for pair in given.split())
    playbook = next(word for word in plain if word.endswith(".yml"))
    return playbook, {*plain} - {playbook}, settings


def is_same(told: str, played: object) -> bool:
    """Whether a value does for another: a number for a number, a path for one that is the reader's."""
    number = re.compile(r"[0-9.]+")
    if number.fullmatch(told) and number.fullmatch(str(played)):
        return (float(told) == 0) == (float(str(played)) == 0)
    return told.startswith("$") or told == played


def is_played(told: list[str], played: list[str]) -> bool:
    """Whether a play, with perhaps some settings more, is the one that a page tells of."""
    (playbook, options, settings), (other, others, theirs) = split(told), split(played)
    return (
        playbook == other
        and options <= others
        and all(name in theirs and is_same(value, theirs[name]) for name, value in settings.items())
    )


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> None:
    """All the tests before these have run."""
    here = {item.path.stem for item in request.session.items}
    if not here >= set(ORDER) or request.config.getoption("keyword"):
        pytest.skip("only a part of the tests was asked for")


@pytest.mark.usefixtures("whole")
def test_every_play_was_played(lab: Lab) -> None:
    played = [json.loads(line) for line in lab.played.read_text().splitlines()]
    told = {
        shlex.join([PLAY, *command[1:]])
        for _, line in all_typed()
        if line != ENCRYPTED and plain(line) not in ELSEWHERE
        for command in commands_of(line)
        if command[0].removeprefix(".venv/bin/") == PLAY
    }
    assert len(told) > 10
    missing = [line for line in told if not any(is_played(shlex.split(line), one) for one in played)]
    assert missing == [], "no test plays what a page tells its reader to"


def test_another_play_is_not_the_same() -> None:
    told = shlex.split("ansible-playbook failover.yml -e fault_kind=kill -e witness_duration=150")
    same = shlex.split(
        "ansible-playbook failover.yml -e witness_duration=20 -e fault_kind=kill -e fault_node=other"
    )
    assert is_played(told, same)
    for without in ("witness_duration=20", "fault_kind=kill"):
        at = same.index(without)
        assert not is_played(told, same[: at - 1] + same[at + 1 :])
    assert not is_played(told, [word.replace("=kill", "=drain") for word in same])
    assert not is_played([*told, "--check"], same)
    assert not is_played(told, [word.replace("failover", "setup") for word in same])


def test_what_is_typed_elsewhere_is_told_of_and_there() -> None:
    told = {plain(line) for _, line in all_typed()}
    assert set(ELSEWHERE) <= told
    assert [place for place in ELSEWHERE.values() if not (ROOT / place.partition(":")[0]).exists()] == []
    assert {ENCRYPT, ENCRYPTED} <= told


def test_what_is_small_word_for_word(lab: Lab, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    address = lab.url().partition("//")[2]
    for name in ("site", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "reports").symlink_to(lab.reports)
    (tmp_path / "ca.crt").write_text("an authority\n")
    lines = [line for _, line in all_typed() if small(line)]
    assert len(lines) > 4
    for line in lines:
        # For ten minutes, says the page.
        typed = line.replace("ADDRESS", address).replace("--duration 600", "--duration 3")
        if line == REPLAY:
            typed = f"timeout --preserve-status --signal=INT 5 {typed}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", typed],
            cwd=tmp_path,
            env=os.environ
            | {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # One of them asks whether there were enough requests to tell, and says so by its status alone.
        asks = line.startswith("python -c")
        assert done.returncode == 0 or (asks and done.stderr == ""), f"{line}: {done.stderr}"
    assert (home / "my-site" / "Dockerfile").is_file()
    assert (tmp_path / "ports" / "report.html").is_file()


def converse(argv: list[str], answers: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command at a terminal, and give an answer at each prompt; its status and all that it said."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - it has to be this very process
    said, left = b"", list(answers)
    deadline = time.monotonic() + 120
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                part = os.read(terminal, 4096)
            except OSError:  # what a terminal says when nobody is left at its other end
                break
            said += part
            if left and re.search(rb"(?i)(password|name|hidden)[^\n]*: $", said):
                os.write(terminal, f"{left.pop(0)}\n".encode())
                said += b"\n"
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said.decode().replace("\r", "")


def test_a_password_that_is_kept_in_a_vault(lab: Lab, tmp_path: Path) -> None:
    status, said = converse(
        shlex.split(ENCRYPT), ["open", "open", "registry_password", "secret-word"], dict(os.environ)
    )
    assert status == 0, said
    encrypted = re.search(r"^registry_password: !vault \|\n(?: +\S+\n)+", said, re.MULTILINE)
    assert encrypted, said
    settings = tmp_path / "settings.yml"
    port = lab.registry_port()
    ours = {"registry_url": f"127.0.0.1:{port}", "registry_username": "lab", "lab_profile": PROFILE}
    settings.write_text(encrypted[0] + yaml.safe_dump(ours))
    status, said = converse([*shlex.split(ENCRYPTED), "-e", f"@{settings}"], ["open"], lab.environment)
    # It was read: the registry was asked, and knows another one.
    assert status != 0
    assert "refused the login of 'lab'" in " ".join(said.split()).replace("''", "'")
    assert "secret-word" not in said
