"""A switch that is given with ``-e name=false`` is a string, and every string but an empty one is true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import nodes
from tests.documents import load
from tests.lint.test_roles import BARE, ROLES, options, parsed

SWITCHES = {name for role in ROLES for name, option in options(role).items() if option.get("type") == "bool"}
FILES = sorted(
    path
    for folder in ("roles", "playbooks")
    for path in (ROLES[0].parents[1] / folder).rglob("*.yml")
    if path.name != "argument_specs.yml"
)


def expressions(content: Any, key: str = "") -> Iterator[str]:
    """Every template of a file; what Ansible takes for an expression gets its braces."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from expressions(value, str(name))
    elif isinstance(content, list):
        for value in content:
            yield from expressions(value, key)
    elif isinstance(content, str):
        bare = key in BARE and content and "{%" not in content and "{{" not in content
        yield f"{{% if ({content}) %}}{{% endif %}}" if bare else content


def decides(node: nodes.Node) -> Iterator[nodes.Node]:
    """What is asked whether it is true."""
    for block in node.find_all(nodes.If):
        yield block.test
    for choice in node.find_all(nodes.CondExpr):
        yield choice.test
    for denied in node.find_all(nodes.Not):
        yield denied.node
    for both in [*node.find_all(nodes.And), *node.find_all(nodes.Or)]:
        yield from (both.left, both.right)


def taken_as_it_is(text: str) -> set[str]:
    """The switches that decide something without a look at what they say."""
    return {
        node.name for node in decides(parsed(text)) if isinstance(node, nodes.Name) and node.name in SWITCHES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROLES[0].parents[1])))
def test_a_switch_is_read_for_what_it_says(path: Path) -> None:
    found = {name for text in expressions(load(path)) for name in taken_as_it_is(text)}
    assert not found, f"a string would be true whatever it says: {' and '.join(sorted(found))} need `| bool`"


def test_the_look_finds_one() -> None:
    name = min(SWITCHES)
    assert {"live_page", "witness_trace"} <= SWITCHES
    for text in (f"{{{{ 1 if {name} else 2 }}}}", f"{{{{ not {name} or x }}}}"):
        assert taken_as_it_is(text) == {name}
    assert [*expressions({"when": [name]})] == [f"{{% if ({name}) %}}{{% endif %}}"]
    assert taken_as_it_is(f"{{{{ not {name} | bool }}}}") == set()
