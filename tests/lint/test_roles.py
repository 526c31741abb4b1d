"""What a role says of itself is what it does (settings, entry points, facts); no variable is for nothing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.task import Task
from ansible.plugins.loader import action_loader, module_loader
from ansible.template import Templar
from jinja2 import nodes
from tests.documents import load
from tests.role_variables import flat, trusted

REPO = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent for path in REPO.glob("roles/*/tasks"))
NAMES = [role.name for role in ROLES]
ENTRIES = [
    (role, entry) for role in ROLES for entry in load(role / "meta" / "argument_specs.yml")["argument_specs"]
]
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
each_entry = pytest.mark.parametrize(
    ("role", "entry"), ENTRIES, ids=[f"{role.name}-{entry}" for role, entry in ENTRIES]
)

# Keys whose strings are expressions without braces.
BARE = {"when", "until", "failed_when", "changed_when", "that", "var", "break_when"}
SET_FACT = ("ansible.builtin.set_fact", "set_fact")
INCLUDE_ROLE = ("ansible.builtin.include_role", "ansible.builtin.import_role")
INCLUDE_TASKS = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks")
JINJA = jinja2.Environment(autoescape=True)
# Read by tasks that an entry point includes, but only in steps that it never takes: to put right what a run
# has left is to bring all nodes back, so none is left behind in the name of this run, whatever its kind.
NEVER_READ = {
    ("fault", "preflight"): {"fault_run_dir"},
    ("fault", "recover"): {"fault_run_dir", "fault_kind"},
}

# Settings that a play gives all the same, where what somebody has set is not meant. What a play gives to a
# role is stronger than the inventory, so that a setting among it could not be set there.
GIVEN_BY_A_PLAY = {
    "witness_url": "the address that the fault's preflight found, which the report names too",
    **dict.fromkeys(
        ("witness_event", "witness_first_event", "witness_events", "witness_pods", "witness_since"),
        "of this step of the run alone",
    ),
    "witness_awaits": "of this step of the run alone",
    "witness_facts": "what the run has found",
    "witness_run_dir": "of a run to come, which has no name yet",
}


def specs(role: Path) -> dict[str, Any]:
    return dict(load(role / "meta" / "argument_specs.yml")["argument_specs"])


def options(role: Path) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for entry in specs(role).values():
        merged |= entry.get("options") or {}
    return merged


def defaults(role: Path) -> dict[str, Any]:
    return load(role / "defaults" / "main.yml") or {}


def internal(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((role / "vars").glob("*.yml")):
        found |= load(path) or {}
    return found


def parsed(text: str) -> nodes.Template:
    """A text with expressions in it."""
    with warnings.catch_warnings():
        # Jinja is freer with backslashes than Python.
        warnings.simplefilter("ignore")
        return JINJA.parse(text)


def names(text: str, bare: bool) -> set[str]:
    """The variables that an expression, or a text with expressions in it, reads."""
    if not bare and "{{" not in text and "{%" not in text:
        return set()
    tree = parsed(f"{{{{ {text} }}}}" if bare else text)
    found = {True: set[str](), False: set[str]()}
    for name in tree.find_all(nodes.Name):
        found[name.ctx == "load"].add(name.name)
    return found[True] - found[False]


@dataclass
class Seen:
    """Names that are read, names that are given, and which role's entry points are applied with what."""

    read: dict[str, set[str]] = field(default_factory=dict)
    given: dict[str, set[str]] = field(default_factory=dict)
    facts: set[str] = field(default_factory=set)
    applied: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    def reads(self, found: set[str], where: str) -> None:
        for name in found:
            self.read.setdefault(name, set()).add(where)

    def gives(self, name: str, where: str) -> None:
        self.given.setdefault(name, set()).add(where)

    def look(self, value: Any, where: str, key: str = "") -> None:
        """Look through a part of a file of tasks, plays or variables."""
        if isinstance(value, dict):
            self.look_at_mapping(value, where)
        elif isinstance(value, list):
            for item in value:
                self.look(item, where, key)
        elif isinstance(value, str):
            self.reads(names(value, key in BARE), where)

    def look_at_mapping(self, value: dict[str, Any], where: str) -> None:
        for key, item in value.items():
            if key in INCLUDE_ROLE:
                self.applied.append((item["name"], item.get("tasks_from", "main"), value.get("vars") or {}))
            if key in INCLUDE_TASKS:
                self.files.add(item if isinstance(item, str) else item["file"])
            if key == "register" or (key in {"loop_var", "index_var"} and isinstance(item, str)):
                self.gives(item, where)
            elif (key in SET_FACT or key == "vars") and isinstance(item, dict):
                for name, content in item.items():
                    self.gives(name, where)
                    self.look(content, f"{where}:{name}")
                self.facts |= set(item) if key in SET_FACT else set()
            else:
                self.look(item, where, str(key))
            self.reads(names(str(key), bare=False), where)


def look_at_role(role: Path) -> Seen:
    seen = Seen()
    for path in sorted([*role.glob("tasks/**/*.yml"), *role.glob("handlers/*.yml")]):
        seen.look(load(path), str(path.relative_to(REPO)))
    for part in (defaults(role), internal(role)):
        for name, value in part.items():
            seen.gives(name, "defaults or vars")
            seen.look(value, f":{name}")
    for path in role.glob("templates/**/*.j2"):
        seen.reads(names(path.read_text(encoding="utf-8"), bare=False), str(path.relative_to(REPO)))
    return seen


def look_at_plays() -> Seen:
    seen = Seen()
    for path in [*REPO.glob("*.yml"), *REPO.glob("playbooks/**/*.yml")]:
        seen.look(load(path), str(path.relative_to(REPO)))
    for path in REPO.glob("inventory/**/*.yml"):
        for name in load(path) or {}:
            seen.gives(name, str(path.relative_to(REPO)))
        seen.look(load(path), str(path.relative_to(REPO)))
    return seen


SEEN = {role.name: look_at_role(role) for role in ROLES}
PLAYS = look_at_plays()
EVERYWHERE = [*SEEN.values(), PLAYS]


def owner(name: str) -> str:
    """The role whose name a public variable carries."""
    return max((role for role in NAMES if name.startswith(f"{role}_")), key=len, default="")


def readers(name: str, among: list[Seen]) -> set[str]:
    """Where it is read, but for its own definition."""
    found = {where for seen in among for where in seen.read.get(name, set())}
    return {where for where in found if not where.endswith(f":{name}")}


# Settings and their defaults


@each_role
def test_every_setting_is_a_default_and_is_described(role: Path) -> None:
    described = options(role)
    assert set(described) == set(defaults(role)), (
        "keys of meta/argument_specs.yml and defaults/main.yml differ"
    )
    assert [name for name, option in described.items() if not option.get("description")] == []
    assert [name for name in described if owner(name) != role.name] == []
    differing = {
        name: (option["default"], defaults(role)[name])
        for name, option in described.items()
        if "default" in option and option["default"] != defaults(role)[name]
    }
    assert differing == {}, "described default differs from the one in defaults/main.yml"


@each_role
def test_a_default_that_is_only_told_of_is_no_plain_value(role: Path) -> None:
    for name, option in options(role).items():
        if "default" in option:
            continue
        text = " ".join(option["description"])
        assert not option.get("required"), f"{name} has a default and is not required"
        assert "By default" in text, f"{name}: the description does not say what it is by default"
        assert names(str(defaults(role)[name]), bare=False), f"{name}: a plain default belongs into the spec"


@each_entry
def test_a_setting_is_the_same_at_every_entry_point(role: Path, entry: str) -> None:
    merged = options(role)
    own = specs(role)[entry].get("options") or {}
    assert {name: option for name, option in own.items() if option != merged[name]} == {}


@each_entry
def test_the_defaults_are_of_the_described_types(
    role: Path, entry: str, lookups: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for name in ("KUBECONFIG", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    spec = specs(role)[entry].get("options") or {}
    templar = Templar(
        loader=DataLoader(), variables=trusted(internal(role) | defaults(role)) | {"role_path": str(role)}
    )
    values = {name: templar.template(trusted(defaults(role)[name])) for name in spec}
    # What Ansible itself does at the beginning of a role.
    assert ArgumentSpecValidator(spec).validate(values).error_messages == []
    plain: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "bool": (bool,),
        "list": (list,),
        "dict": (dict,),
        "float": (int, float),
        "str": (str,),
    }
    wrong = {
        name: value
        for name, option in spec.items()
        if not isinstance(value := defaults(role)[name], plain.get(option["type"], (object,)))
        and not (isinstance(value, str) and names(value, bare=False))
    }
    assert wrong == {}


# Entry points


# A role that can be held in the head; files of subfolders count as well.
MOST_FILES, MOST_ENTRIES = 20, 4


@each_role
def test_a_role_can_be_held_in_the_head(role: Path) -> None:
    # A kind of fault is known by its folder: who adds one has nothing more to hold in the head.
    files = [path for path in role.glob("tasks/**/*.yml") if "kinds" not in path.parts]
    assert len(files) <= MOST_FILES
    assert len(specs(role)) <= MOST_ENTRIES


def entry_of(role: Path, entry: str) -> Path:
    return role / "tasks" / f"{entry}.yml"


@each_entry
def test_every_described_entry_point_is_there(role: Path, entry: str) -> None:
    assert entry_of(role, entry).is_file()
    assert specs(role)[entry].get("short_description")


@each_role
def test_a_main_is_described(role: Path) -> None:
    assert entry_of(role, "main").exists() == ("main" in specs(role))


def test_every_entry_point_that_is_applied_is_described_and_takes_what_it_is_given() -> None:
    applied = [item for seen in EVERYWHERE for item in seen.applied]
    assert len(applied) > len(ROLES), "the search finds them"
    for name, entry, given in applied:
        role = REPO / "roles" / name
        assert entry in specs(role), f"{name} has no entry point {entry} in its argument_specs"
        taken = set(specs(role)[entry].get("options") or {})
        wrong = [key for key in given if owner(key) == name and key not in taken]
        assert wrong == [], f"{name}, {entry}: does not take {wrong}"


def test_a_play_leaves_settings_to_whoever_sets_them() -> None:
    given = {name for _, _, variables in PLAYS.applied for name in variables}
    assert {name for name in given if not name.startswith("__")} == set(GIVEN_BY_A_PLAY)


def entry_points_in(text: str, own: str) -> Iterator[tuple[str, str]]:
    """The role and the entry point of whatever a README of a role names as one."""
    for words in re.findall(r"\{[^{}\n]*tasks_from:[^{}\n]*\}", text):
        found = dict(re.findall(r"(name|tasks_from): *([a-z_]+)", words))
        yield found["name"], found["tasks_from"]
    for entry in re.findall(r"`tasks_from: ([a-z_]+)`", text):
        yield own, entry
    for table in re.findall(r"^\| `tasks_from` \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for entry in re.findall(r"^\| `([a-z_]+)`", table, re.MULTILINE):
            yield own, entry


@each_role
def test_the_readme_and_the_specs_name_the_same_entry_points(role: Path) -> None:
    named = list(entry_points_in((role / "README.md").read_text(encoding="utf-8"), role.name))
    for name, entry in named:
        assert entry in specs(REPO / "roles" / name), f"{name} has no entry point {entry}"
    own = {entry for name, entry in named if name == role.name}
    assert set(specs(role)) - own - {"main"} == set(), "an entry point that the README does not name"


def reached(role: Path, entry: str) -> set[str]:
    """What the tasks of an entry point read, directly or by other variables and templates."""
    todo, done = {entry_of(role, entry)}, set[Path]()
    seen, text = Seen(), ""
    while todo:
        path = todo.pop()
        done.add(path)
        text += path.read_text(encoding="utf-8")
        seen.look(load(path), str(path))
        for name in seen.files:
            # A name that is put together may be that of any file of this form.
            form = "[^*]+".join(map(re.escape, re.split(r"\{\{.*?\}\}", name)))
            fitting = {
                path
                for path in (role / "tasks").rglob("*.yml")
                if re.fullmatch(form, str(path.relative_to(role / "tasks")))
            }
            assert fitting, f"{path.name} includes {name}, which is not there"
            todo |= fitting - done
    read, known = set(seen.read), set[str]()
    while new := read - known:
        known |= new
        for name in new:
            value = (defaults(role) | internal(role)).get(name)
            further = Seen()
            further.look(value, name)
            read |= set(further.read)
            text += str(value)
        for path in role.glob("templates/*.j2"):
            if path.name in text:
                read |= names(path.read_text(encoding="utf-8"), bare=False)
    return read


@each_entry
def test_an_entry_point_describes_every_setting_that_it_reads(role: Path, entry: str) -> None:
    read = reached(role, entry)
    never = NEVER_READ.get((role.name, entry), set())
    described = set(specs(role)[entry].get("options") or {})
    assert read & set(defaults(role)) - described == never


# Modules

TASK_FILES = sorted([*REPO.glob("roles/*/tasks/**/*.yml"), *REPO.glob("playbooks/tasks/**/*.yml")])
PLAY_FILES = sorted(REPO.glob("playbooks/*.yml"))


def modules(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """What each task calls: the one key that is no keyword of tasks."""
    for task in flat(tasks):
        if "block" not in task:
            (name,) = set(task) - set(Task.fattributes) - set(Block.fattributes)
            yield name


@pytest.mark.parametrize("path", TASK_FILES + PLAY_FILES, ids=lambda path: str(path.relative_to(REPO)))
def test_every_module_is_there(path: Path, lookups: None) -> None:
    content = load(path)
    tasks = content if path in TASK_FILES else [task for play in content for task in play["tasks"]]
    called = set(modules(tasks))
    assert called
    assert [
        name
        for name in called
        if not any(
            loader.find_plugin_with_context(name, collection_list=[]).resolved
            for loader in (module_loader, action_loader)
        )
    ] == []


# Variables


@each_role
def test_no_variable_is_for_nothing(role: Path) -> None:
    seen = SEEN[role.name]
    for name, places in seen.given.items():
        where = ", ".join(sorted(places))
        if owner(name) == role.name and name not in seen.facts:
            # Some are for the play, which is given all of a role's settings once it has included it.
            assert readers(name, EVERYWHERE), f"nothing reads {name}, given in {where}"
        # Some say to Ansible itself how it is to run a task.
        elif not owner(name) and not name.startswith("ansible_"):
            assert readers(name, [seen]), f"nothing reads {name}, given in {where}"


@each_role
def test_no_internal_variable_of_a_role_is_missing_or_anothers(role: Path) -> None:
    seen = SEEN[role.name]
    used = {name for name in seen.read if name.startswith("__")}
    assert used - set(seen.given) == set()
    own = {name for name in used | set(seen.given) if name.startswith("__")}
    assert [name for name in own if not name.startswith(f"__{role.name}_")] == []


def test_what_is_read_of_another_role_is_there() -> None:
    public = {name for role in ROLES for name in defaults(role)} | {
        name for seen in EVERYWHERE for name in seen.facts
    }
    missing = {
        name: sorted(where)
        for seen in EVERYWHERE
        for name, where in seen.read.items()
        if owner(name) and name not in public
    }
    assert missing == {}


def test_no_variable_of_a_play_is_for_nothing() -> None:
    known = {name for role in ROLES for name in defaults(role)}
    assert [
        name
        for name in PLAYS.given
        if name not in known and not name.startswith("ansible_") and not readers(name, EVERYWHERE)
    ] == [
        # Groups of hosts are named in plays, not read.
        "lab"
    ]


# Facts

FACT = re.compile(r"\bC\(([a-z_]+)\)")


@each_role
def test_the_facts_that_are_set_are_those_that_are_described(role: Path) -> None:
    text = " ".join(" ".join(spec.get("description") or []) for spec in specs(role).values())
    told = {
        name
        for sentence in re.findall(r"Sets the facts? (.*?)(?:\. [A-Z]|\.$|\.\s|$)", text)
        for name in FACT.findall(sentence)
        if owner(name) == role.name
    }
    public = {name for name in SEEN[role.name].facts if owner(name) == role.name}
    assert public - set(FACT.findall(text)) == set(), "a fact that argument_specs.yml does not tell of"
    assert told - public == set(), "a fact that is told of and never set"
