"""Which parts of the suite a change touches."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests import suite


def chosen(*files: str) -> set[str]:
    return {part.path.removeprefix("tests/") for part in suite.touched(files)}


QUICK = {"lint", "unit", "bad_input"}


def test_nothing_touches_nothing() -> None:
    assert chosen() == set()


def test_a_page_is_looked_at_by_linters_and_typed() -> None:
    assert chosen("docs/how-to/lesson.md") == {*QUICK, "cluster/test_documented.py"}


def test_a_role_brings_what_tests_it_and_not_the_rest() -> None:
    found = chosen("roles/toolchain/tasks/main.yml")
    assert found >= {*QUICK, "toolchain", "cluster/test_setup.py"}
    assert "cluster/test_sudden.py" not in found
    # A name that begins alike is another one.
    assert "toolchain" not in chosen("roles/toolchains/x")


def test_a_test_touches_itself() -> None:
    assert chosen("tests/cluster/test_image.py") == {*QUICK, "cluster/test_image.py"}


def test_what_tests_share_touches_all_that_share_it() -> None:
    cluster = {path for path in chosen("tests/cluster/conftest.py") if path.startswith("cluster/")}
    assert {"cluster/test_setup.py", "cluster/test_teardown.py", "cluster/test_slower.py"} <= cluster
    assert chosen("tests/conftest.py") == {part.path.removeprefix("tests/") for part in suite.parts()}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a branch that differs from main by three files."""

    def git(*words: str) -> None:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    (tmp_path / "old").write_text("old\n")
    git("add", ".")
    git("commit", "--message=first")
    git("checkout", "-b", "work")
    (tmp_path / "committed").write_text("\n")
    git("add", ".")
    git("commit", "--message=second")
    (tmp_path / "old").write_text("new\n")
    (tmp_path / "unknown").write_text("\n")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_what_is_committed_changed_and_new_differs_from_main() -> None:
    assert suite.changed("main") == ["committed", "old", "unknown"]


@pytest.mark.usefixtures("checkout")
def test_a_base_that_is_none_is_told_with_its_remedy() -> None:
    with pytest.raises(SystemExit, match=r"make touched: .*nonsense.*name another base"):
        suite.changed("nonsense")
