"""Every command, setting and message that the pages name exists: a reader who types it gets no surprise."""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.documents import load
from tests.pages import PAGES, blocks, commands_of, spans, typed

from failover_lab import cli
from failover_lab.arguments import UsageError
from failover_lab.faults import kinds
from failover_lab.report import verdict, words

REPO = Path(__file__).resolve().parents[2]
PLUGINS = REPO / "collections/ansible_collections/failover_lab/lab/plugins"
# Commands that are not the repository's own, which a reader has or is told to get.
OTHERS = {
    *(".", "cd", "cp", "export", "git", "ls", "python"),
    *("ansible-vault", "curl", "docker", "install", "kubectl", "minikube", "molecule", "ssh", "sudo"),
}
ROLES = sorted(path.parents[1].name for path in REPO.glob("roles/*/meta/argument_specs.yml"))
PREFIXES = (*ROLES, "lab", "teardown")
NAME = re.compile(rf"(?:{'|'.join(PREFIXES)})_[a-z0-9_]+")
# A word that stands for something: ADDRESS, NAME, FILE.
PLACEHOLDER = re.compile(r"…|\b[A-Z]{4,}\b")


class UnknownError(Exception):
    """What there is not, in words."""


@functools.cache
def whole_labs() -> set[str]:
    """The settings that are no role's: read with a default, and set by no play itself."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for pattern in ("playbooks/**/*.yml", "roles/**/*.yml")
        for path in REPO.glob(pattern)
    )
    name = r"((?:lab|teardown)_[a-z_]+)"
    read = re.findall(rf"\b{name}\s*\|\s*default\(", text)
    return set(read) - set(re.findall(rf"^[ -]*{name}:", text, re.MULTILINE))


@functools.cache
def settings() -> dict[str, dict[str, Any]]:
    """Every setting of a role or a play, with how its argument spec describes it."""
    found: dict[str, dict[str, Any]] = {}
    for path in REPO.glob("roles/*/meta/argument_specs.yml"):
        for entry in load(path)["argument_specs"].values():
            found |= entry.get("options") or {}
    for name in whole_labs():
        found.setdefault(name, {})
    found["fault_kind"] = found["fault_kind"] | {"choices": kinds.names()}
    return found


def check_setting(name: str, value: Any) -> None:
    if name not in settings():
        raise UnknownError(f"no role or play has a setting {name}")
    if isinstance(value, str) and (PLACEHOLDER.search(value) or value.startswith(("$", "{{"))):
        return
    option = settings()[name]
    if "choices" in option and value not in option["choices"]:
        raise UnknownError(f"{name} is one of {', '.join(option['choices'])}, and not {value}")
    if option.get("type") in ("int", "float") and not re.fullmatch(r"[0-9.]+", str(value)):
        raise UnknownError(f"{name} is a number, and not {value}")


def check_playbook(argv: list[str]) -> None:
    from ansible.cli.playbook import PlaybookCLI

    program = PlaybookCLI(["ansible-playbook", *argv])
    program.init_parser()
    options = parsed(program.parser, argv)
    for playbook in options.args:
        if not (REPO / playbook).is_file():
            raise UnknownError(f"there is no playbook {playbook}")
    for extra in options.extra_vars or []:
        if extra.startswith("@"):
            continue
        given = (
            json.loads(extra)
            if extra.startswith("{")
            else dict(word.split("=", 1) if "=" in word else (word, "…") for word in extra.split())
        )
        for name, value in given.items():
            check_setting(name, value)


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Every option of a parser and of its subcommands."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*map(options_of, action.choices.values()))
    return found


def parsed(parser: argparse.ArgumentParser, argv: list[str]) -> Any:
    """What a parser makes of these words.

    Raises:
        UnknownError: it does not know them, or only because it lets options be cut short.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            result = parser.parse_args(argv)
        except SystemExit as ended:
            if not ended.code:
                return None
            raise UnknownError(said.getvalue().strip().splitlines()[-1]) from ended
        except UsageError as error:
            raise UnknownError(str(error)) from error
    short = [word for word in argv if word.startswith("--") and word.split("=")[0] not in options_of(parser)]
    if short:
        raise UnknownError(f"{short[0]} is cut short")
    return result


def check_make(argv: list[str]) -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    scripts = "".join(path.read_text(encoding="utf-8") for path in REPO.glob("scripts/*.sh"))
    for word in argv:
        name, equals, value = word.partition("=")
        if not equals and word not in targets:
            raise UnknownError(f"make has no target {word}")
        given = re.search(rf"^{name} \??=", makefile, re.MULTILINE) or f"${{{name}:-" in scripts
        if equals and not given:
            raise UnknownError(f"nothing reads make's variable {name}")
        if name == "ARGS" and "lab" in argv:
            check_playbook([*shlex.split(value), "setup.yml"])


def check_package(argv: list[str]) -> None:
    if argv[:1] == ["--help"]:
        return
    parsed(cli.parser(), argv)


def check_doc(argv: list[str]) -> None:
    for word in argv:
        name = word.removeprefix("failover_lab.lab.")
        if PLACEHOLDER.fullmatch(name):
            continue
        if word != name and not (PLUGINS / "modules" / f"{name}.py").is_file():
            raise UnknownError(f"there is no module {word}")
        if (
            word == name
            and "role" in argv
            and not name.startswith("-")
            and word not in ("role", "roles", *ROLES)
        ):
            raise UnknownError(f"there is no role {word}")


CHECKS = {
    "make": check_make,
    "ansible-playbook": check_playbook,
    "ansible-doc": check_doc,
}


def check(command: list[str]) -> None:
    """See whether there is such a command, and all that is given to it.

    Raises:
        UnknownError: there is not.
    """
    program = command[0].removeprefix(".venv/bin/")
    if program == "python" and command[1:3] == ["-m", "failover_lab"]:
        check_package(command[3:])
    elif program == "python" and command[1:2] == ["-c"]:
        ast.parse(command[2])
    elif program in CHECKS:
        CHECKS[program](command[1:])
    elif program not in OTHERS:
        raise UnknownError(f"{program} is neither the repository's nor one of {', '.join(sorted(OTHERS))}")


def run_lines(content: Any) -> Iterator[str]:
    """What a workflow runs."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "run" and isinstance(value, str):
                yield from value.splitlines()
            else:
                yield from run_lines(value)
    elif isinstance(content, list):
        for item in content:
            yield from run_lines(item)


class Loader(yaml.SafeLoader):
    """Knows that a value may be encrypted."""


Loader.add_constructor("!vault", lambda *_: "…")


def wrong_in_console(text: str) -> list[str]:
    lines = typed(text)
    return wrong_commands(lines) if lines else ["a console block in which nothing is typed (after '$ ')"]


def wrong_commands(lines: list[str]) -> list[str]:
    found = []
    for line in lines:
        try:
            for command in commands_of(line.partition(" #")[0]):
                check(command)
        except (UnknownError, ValueError, SyntaxError) as error:
            found.append(f"{line}: {error}")
    return found


def wrong_in_yaml(text: str) -> list[str]:
    try:
        documents = list(yaml.load_all(text, Loader))
    except yaml.YAMLError as error:
        return [f"no YAML: {error}"]
    found = wrong_commands([line for content in documents for line in run_lines(content)])
    named = [pair for content in documents if isinstance(content, dict) for pair in content.items()]
    for name, value in named:
        if NAME.fullmatch(str(name)):
            try:
                check_setting(name, value)
            except UnknownError as error:
                found.append(str(error))
    return found


def wrong_in_prose(span: str) -> list[str]:
    """What is cut short, or has a word in it that stands for others, is looked at as far as it goes."""
    whole = not PLACEHOLDER.search(span.replace("PYTHON=", ""))
    try:
        if whole and span.startswith(
            ("make ", "ansible-playbook ", "ansible-doc ", "python -m failover_lab ")
        ):
            check(shlex.split(span))
        elif span.startswith("-e "):
            check_playbook([*shlex.split(span), "setup.yml"])
        elif (setting := re.fullmatch(rf"({NAME.pattern})(=|: )(\S+)", span)) is not None:
            check_setting(setting[1], setting[3])
    except UnknownError as error:
        return [f"{span}: {error}"]
    return []


WRONG = {"console": wrong_in_console, "yaml": wrong_in_yaml}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_command_is_known(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = [
        wrong
        for block in blocks(text)
        if block.language in WRONG
        for wrong in WRONG[block.language](block.text)
    ]
    found += [wrong for span in spans(text) for wrong in wrong_in_prose(span)]
    assert found == []


@functools.cache
def code() -> str:
    """All that the lab says, with strings that go on in another line put together."""
    parts = []
    for pattern in ("roles/**/*.yml", "playbooks/**/*.yml", "scripts/*.sh"):
        parts += [path.read_text(encoding="utf-8") for path in REPO.glob(pattern)]
    for folder in (PLUGINS, REPO / "src", REPO / "playbooks"):
        for path in folder.rglob("*.py"):
            parts.append(re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")))
    return " ".join(" ".join(parts).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_name_of_a_setting_or_fact_is_used(page: Path) -> None:
    names = {span for span in spans(page.read_text(encoding="utf-8")) if NAME.fullmatch(span)}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code())] == []


def test_every_message_of_the_troubleshooting_page_is_said() -> None:
    text = (REPO / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    _, *tables = re.split(r"^\| it says \|.*\n\|[-|]+\|\n", text, flags=re.MULTILINE)
    said = [
        quoted
        for table in tables
        for row in table.partition("\n\n")[0].splitlines()
        for quoted in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    assert len(said) > 50
    pieces = [piece.strip() for quoted in said for piece in quoted.split("…")]
    assert [piece for piece in pieces if piece not in code()] == []


def test_every_setting_of_the_whole_lab_is_described() -> None:
    text = (REPO / "docs" / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Reference: settings of the whole lab")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == whole_labs()


def test_every_cause_is_explained() -> None:
    text = (REPO / "docs" / "explanation" / "lost-requests.md").read_text(encoding="utf-8")
    table = text.partition("## Causes")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)) - {"cause"} == set(words.CAUSES.values())


def test_every_question_of_a_verdict_is_named() -> None:
    text = (REPO / "docs" / "how-to" / "pipeline.md").read_text(encoding="utf-8")
    assert f"test cases: {', '.join(verdict.CHECKS)} |" in text


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("make lap", "no target lap"),
        ("make lab ARG=4", "make's variable ARG"),
        ("make lab ARGS='-e cluster_node=4'", "no role or play has a setting cluster_node"),
        ("ansible-playbook fail.yml", "no playbook fail.yml"),
        ("ansible-playbook setup.yml --chek", "--chek"),
        ("ansible-playbook failover.yml -e fault_kind=explode", "one of drain"),
        ("ansible-playbook failover.yml -e '{\"witness_rat\": 1}'", "setting witness_rat"),
        ("ansible-playbook failover.yml -e witness_rate=often", "is a number"),
        ("cd x && make lap", "no target lap"),
        (".venv/bin/python -m failover_lab watch", "watch"),
        ("python -m failover_lab probe --uri x", "--url"),
        ("python -m failover_lab probe --url http://A --out x --speed 9", "--speed"),
        ("python -m failover_lab probe --url http://A --out x --source-port cycle", "is cut short"),
        ("python -c 'x ='", "invalid syntax"),
        ("ansible-doc failover_lab.lab.nothing", "no module failover_lab.lab.nothing"),
        ("ansible-doc -t role -r roles nothing", "no role nothing"),
        ("rm -rf /", "rm is neither"),
    ],
)
def test_what_is_unknown_is_noticed(command: str, wrong: str) -> None:
    found = wrong_in_console(f"$ {command}\nwhat it says\n")
    assert len(found) == 1
    assert wrong in found[0]


def test_what_is_unknown_is_noticed_elsewhere() -> None:
    assert wrong_in_console("make lab\n") == ["a console block in which nothing is typed (after '$ ')"]
    assert wrong_in_yaml("cluster_node: 4\n") == ["no role or play has a setting cluster_node"]
    assert len(wrong_in_yaml("jobs: {a: {steps: [{run: make lap}]}}\n")) == 1
    assert len(wrong_in_yaml("a: [\n")) == 1
    assert len(wrong_in_prose("site_replica: 4")) == 1
    assert len(wrong_in_prose("-e lab_profil=…")) == 1
    assert [block.text for block in blocks("1. one\n\n   ```console\n   $ x\n   ```\n")] == ["$ x\n"]
