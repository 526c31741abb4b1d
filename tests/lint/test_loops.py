"""A loop is looked at before its condition: a skipped block has set nothing of what its loops need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.documents import load
from tests.lint.test_roles import SET_FACT, names
from tests.role_variables import flat, within

REPO = Path(__file__).resolve().parents[2]

Task = dict[str, Any]


def sets(task: Task) -> set[str]:
    """The variables that a task sets for those after it."""
    facts = {name for key in SET_FACT for name in task.get(key) or {}}
    return facts | ({task["register"]} if "register" in task else set())


def needs(task: Task) -> set[str]:
    """The variables that have to be there for its loop, by its own variables as well."""
    own = {name: names(str(value), bare=False) for name, value in (task.get("vars") or {}).items()}
    found, todo = set[str](), list(names(str(task.get("loop", "")), bare=False))
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += own.get(name, set())
    return found


def loops_in_vain(tasks: list[Task], there: set[str]) -> Iterator[tuple[str, set[str]]]:
    """The loops of blocks that may be skipped, which need what nobody has set then.

    Args:
        tasks: of a file, or of a block.
        there: the variables that are set in any case, to which theirs are added.
    """
    for task in tasks:
        inner = within(task)
        if "when" not in task:
            there |= sets(task)
            yield from loops_in_vain(inner, there)
            continue
        missing = {name for one in flat(inner) for name in sets(one)} - there
        for one in flat(inner):
            if needed := needs(one) & missing:
                yield str(one.get("name")), needed


def test_a_loop_needs_nothing_that_its_own_block_sets_and_that_may_be_skipped() -> None:
    files = [*REPO.glob("roles/*/tasks/**/*.yml")]
    assert len(files) > 100, "the search finds them"
    found = {
        f"{path.relative_to(REPO)}: {name}": missing
        for path in files
        for name, missing in loops_in_vain(load(path) or [], set())
    }
    assert found == {}, "set it to nothing ahead of the block"


def test_the_search_sees_one() -> None:
    noted = {"ansible.builtin.set_fact": {"noted": "{{ [1] }}"}}
    loop = {"name": "Loop", "loop": "{{ wanted + [2] }}", "vars": {"wanted": "{{ noted }}"}}
    block = {"when": "asked", "block": [noted, loop]}
    assert list(loops_in_vain([block], set())) == [("Loop", {"noted"})]
    assert list(loops_in_vain([noted, block], set())) == []
    assert list(loops_in_vain([block, noted], {"noted"})) == []
