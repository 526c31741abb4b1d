"""pre-commit and the workflow run what a person runs by hand, and nothing that is not pinned."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import SpecifierSet
from tests import suite

REPO = Path(__file__).resolve().parents[2]
HOOKS_FILE = REPO / ".pre-commit-config.yaml"
LINTERS_FILE = REPO / "tests" / "lint" / "test_linters.py"
WORKFLOW_FILE = REPO / ".github" / "workflows" / "ci.yml"
HOOKS: list[dict[str, Any]] = [
    hook for repo in yaml.safe_load(HOOKS_FILE.read_text(encoding="utf-8"))["repos"] for hook in repo["hooks"]
]
WORKFLOW: dict[str, Any] = yaml.safe_load(WORKFLOW_FILE.read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_pre_commit_takes_its_configuration() -> None:
    done = subprocess.run(
        ["pre-commit", "validate-config", HOOKS_FILE], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_hooks_are_local_and_call_make_lint() -> None:
    assert [repo["repo"] for repo in yaml.safe_load(HOOKS_FILE.read_text(encoding="utf-8"))["repos"]] == [
        "local"
    ]
    for hook in HOOKS:
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False
        assert shlex.split(hook["entry"])[:2] == ["make", "lint"]


def test_every_test_of_lint_has_a_hook() -> None:
    linters = set(re.findall(r'^    "([a-z-]+)": Linter\(', LINTERS_FILE.read_text("utf-8"), re.MULTILINE))
    assert {"ruff-check", "role-pages"} <= linters
    asked = {" ".join(shlex.split(hook["entry"])[2:]): hook.get("stages") for hook in HOOKS}
    # All the rest at each commit, whatever it touches; all there is before a push.
    assert asked.pop("ARGS=--ignore=tests/lint/test_linters.py") is None
    assert asked.pop("") == ["pre-push"]
    words = [word for options in asked for word in shlex.split(options.removeprefix("ARGS=-k "))]
    wanted = {part for word in words for part in word.split(" or ")}
    assert [name for name in linters if not any(part in name for part in wanted)] == []
    assert [part for part in wanted if not any(part in name for name in linters)] == []


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    lines = [line for line in WORKFLOW_FILE.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert len(lines) >= 4
    assert [
        line
        for line in lines
        if not re.fullmatch(r" +(- )?uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line)
    ] == []
    # The same action is the same commit everywhere.
    assert len({line.split("uses: ")[1] for line in lines}) == len(
        {line.split("uses: ")[1].partition("@")[0] for line in lines}
    )


def test_the_workflow_may_do_little_and_ends() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["concurrency"]["group"]
    for job in WORKFLOW["jobs"].values():
        assert "permissions" not in job
        # After six hours GitHub ends what runs on its own machines.
        assert 0 < job["timeout-minutes"] <= 360
    for step in STEPS:
        if "actions/checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_the_night_is_long_enough() -> None:
    took_s = sum((part.test_s or 0) + (part.more_s or 0) for part in suite.parts())
    (job,) = (job for job in WORKFLOW["jobs"].values() if "make test-all" in str(job["steps"]))
    assert job["timeout-minutes"] * 60 > 1.3 * took_s


def test_the_workflow_runs_the_commands_of_the_pages() -> None:
    commands = [step["run"] for step in STEPS if "run" in step]
    assert {shlex.split(command)[1] for command in commands} == {"lint", "unit", "test", "test-all"}
    pages = (REPO / "README.md").read_text("utf-8") + (REPO / "CONTRIBUTING.md").read_text("utf-8")
    for command in commands:
        make, target, *arguments = shlex.split(command)
        assert make == "make"
        assert f"make {target}" in pages
        # pytest's record is what a failed run uploads.
        (record,) = arguments
        assert record.startswith("ARGS=--junitxml=reports/")


def test_the_workflow_tries_every_python_that_the_project_takes() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = SpecifierSet(project["requires-python"])
    taken = [f"3.{minor}" for minor in range(30) if wanted.contains(f"3.{minor}.0")]
    assert WORKFLOW["jobs"]["quick"]["strategy"]["matrix"]["python"] == taken


def test_a_failed_run_leaves_its_records() -> None:
    for job in WORKFLOW["jobs"].values():
        last = job["steps"][-1]
        # What a whole night has measured is worth keeping though nothing failed.
        assert last["if"] == ("always()" if "test-all" in str(job["steps"]) else "failure()")
        assert "actions/upload-artifact@" in last["uses"]
        assert "reports" in last["with"]["path"]
        # What has passwords stays where it is.
        assert not re.search(r"tests/lab$|state", last["with"]["path"], re.MULTILINE)


def test_the_cache_is_another_when_the_toolchain_is() -> None:
    caches = [step["with"] for step in STEPS if "actions/cache@" in step.get("uses", "")]
    cache = caches[0]
    assert [other for other in caches if other != cache] == []
    patterns = re.findall(r"'([^']+)'", cache["key"])
    # Two stars at the end stand for files at any depth.
    found = [path for pattern in patterns for path in REPO.glob(re.sub(r"/\*\*$", "/**/*", pattern))]
    covered = {path for path in found if path.is_file()}
    toolchain = REPO / "roles" / "toolchain"
    assert {REPO / "versions.yml", *(toolchain / "vars").glob("*.yml")} <= covered
    assert {path for path in (toolchain / "files").rglob("*") if path.is_file()} <= covered
    assert not [line for line in cache["path"].split() if re.search(r"tests/?(lab)?$", line)]
