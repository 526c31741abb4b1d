"""Rules of this repository that no linter knows."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent for path in REPO.glob("roles/*/tasks"))

# Where packages come from is the affair of the machine's own settings, so no host of theirs belongs here.
# (Put together from pieces, since this file is looked at as well.)
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("snapshot", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("maven", "org"),
        ("galaxy", "ansible", "com"),
    )
]
PLACES = ["/" + "/".join(parts) for parts in (("work", ""), ("opt", "wheels"), ("root", ".pyenv"))]
ANY_HOST = rf"(?<![\w-])(?:{'|'.join(map(re.escape, HOSTS))})(?![\w-])"
ANY_PLACE = rf"(?<![\w.-])(?:{'|'.join(map(re.escape, PLACES))})"
FORBIDDEN = re.compile(f"{ANY_HOST}|{ANY_PLACE}")


def tracked() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split(b"\0")):
        path = REPO / os.fsdecode(name)
        if path.is_file() and not path.is_symlink():
            yield path


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_role_is_explained(role: Path) -> None:
    assert (role / "README.md").is_file()
    assert (role / "meta" / "main.yml").is_file()


# Their requests know no time-out: failover_lab.lab.k8s and k8s_info run them in bounded time.
UNBOUNDED = re.compile(r"^\s*kubernetes\.core\.\w+:", re.MULTILINE)


def test_no_role_waits_for_an_api_server_for_ever() -> None:
    found = [
        f"{path.relative_to(REPO)}: {found[0].strip()}"
        for folder in ("roles", "playbooks")
        for path in (REPO / folder).rglob("*.yml")
        for found in UNBOUNDED.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
    assert UNBOUNDED.search("- name: Ask\n  kubernetes.core.k8s_info:\n"), "the search finds them"


# Ansible makes Python's sets of both sides: what comes out is in another order each time, and so are the
# nodes that a play goes through, what it says, and what a test sees. select('in', ...), reject('in', ...)
# and unique keep the order.
UNORDERED = re.compile(r"\|\s*(?:union|intersect|difference|symmetric_difference)\b")


def test_no_list_of_a_role_is_in_an_order_of_chance() -> None:
    found = [
        f"{path.relative_to(REPO)}: {found[0]}"
        for folder in ("roles", "playbooks", "molecule")
        for pattern in ("*.yml", "*.j2")
        for path in (REPO / folder).rglob(pattern)
        for found in UNORDERED.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
    assert UNORDERED.search("{{ started\n | union(others) }}"), "the search finds them"


def test_every_text_has_the_line_ends_that_shells_take() -> None:
    """Whatever core.autocrlf says."""
    names = [str(path.relative_to(REPO)) for path in tracked()]
    done = subprocess.run(
        ["git", "check-attr", "--stdin", "eol"],
        cwd=REPO,
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.rpartition(": ")[2] for line in done.stdout.splitlines()} == {"lf"}


def test_the_search_for_forbidden_words_finds_them() -> None:
    for host in HOSTS:
        assert FORBIDDEN.search(f"see https://files.{host}/x")
        assert FORBIDDEN.search(f"{host}:443")
        assert not FORBIDDEN.search(f"my{host}")
    for place in PLACES:
        assert FORBIDDEN.search(f"'{place}x'")
        assert not FORBIDDEN.search(f"/home{place}x")


def test_no_registry_host_and_no_path_of_one_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(REPO)}:{number}: {match[0]}"
            for number, line in enumerate(text.splitlines(), 1)
            if (match := FORBIDDEN.search(line))
        ]
    assert found == []


def test_the_lock_satisfies_the_project() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (REPO / "requirements.lock").read_text(encoding="utf-8")
    locked: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        locked.setdefault(canonicalize_name(name), []).append(version)
    wanted = [
        Requirement(line) for line in project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    ]
    assert [
        f"{requirement}: locked {versions or 'nothing'} (run 'make lock')"
        for requirement in wanted
        if not (versions := locked.get(canonicalize_name(requirement.name), []))
        or not all(requirement.specifier.contains(version, prereleases=True) for version in versions)
    ] == []


def test_every_locked_package_has_a_hash() -> None:
    for name in ("requirements.lock", "requirements-bootstrap.lock"):
        text = (REPO / name).read_text(encoding="utf-8").replace("\\\n", " ")
        without = [line for line in text.splitlines() if "==" in line and "--hash=sha256:" not in line]
        assert without == [], f"{name} has packages without a hash"


def test_the_compiler_is_locked_for_every_kind_of_machine() -> None:
    """Of its wheels there is one for each, which the role's own refusal names."""
    lock = (REPO / "roles/toolchain/files/go.lock").read_text(encoding="utf-8")
    refusal = (REPO / "roles/toolchain/tasks/preflight.yml").read_text(encoding="utf-8")
    machines = [machine for machine in ("x86_64", "aarch64") if machine in refusal]
    assert len(set(re.findall(r"--hash=sha256:[0-9a-f]{64}", lock))) == len(machines) == 2
