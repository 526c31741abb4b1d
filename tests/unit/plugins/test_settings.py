"""Names that nothing reads: which of them were meant as settings, and which settings may have been meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.failover_lab.lab.plugins.action import settings

REPO = Path(__file__).resolve().parents[3]
KNOWN = settings.described(REPO / "roles")
READ = settings.mentioned(REPO / "roles", REPO / "playbooks")
PREFIXES = ["fault", "witness", "cluster", "site", *settings.PREFIXES]


def test_the_roles_describe_what_readers_are_told() -> None:
    assert {"fault_kind", "witness_rate", "cluster_nodes", "site_replicas"} <= set(KNOWN)
    assert len(KNOWN) == len(set(KNOWN))
    # The reference of the whole lab's own settings is held to the code elsewhere.
    assert {"lab_profile", "lab_state_dir", "lab_cache_dir", "lab_reports_dir", "teardown_cache"} <= READ


@pytest.mark.parametrize(
    ("name", "typed", "slip"),
    [
        ("fault", True, True),
        ("failover_detection", True, True),
        ("site_colour", True, True),
        ("fault_knd", False, True),
        ("cluster_node", False, True),
        ("kind", True, True),
        ("node_return", True, True),
        ("falt_kind", True, True),
        # In an inventory, people have names of their own.
        ("kind", False, False),
        ("nodes", False, False),
        ("__cluster_nodes", False, False),
        ("site", False, False),
        ("cluster_name", False, False),
        ("failover_detection", False, False),
        ("vault_registry_password", True, False),
        ("ansible_python_interpreter", True, False),
        ("faults", True, False),
    ],
)
def test_what_is_a_slip(name: str, *, typed: bool, slip: bool) -> None:
    assert settings.is_a_slip(name, PREFIXES, KNOWN, typed=typed) is slip


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("fault", ["fault_url", "fault_kind", "fault_node"]),
        ("fault_knd", ["fault_kind"]),
        ("failover_detection", ["cluster_failure_detection"]),
        ("nodes", ["cluster_nodes"]),
        ("lab_zzz", []),
    ],
)
def test_what_may_have_been_meant(name: str, meant: list[str]) -> None:
    found = settings.similar(name, KNOWN)
    assert found[: len(meant)] == meant
    assert len(found) <= 3
    assert meant or not found


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["a=1 b='x y' c_d=2"], {"a", "b", "c_d"}),
        (['{"a": 1, "b": {"c": 2}}', "{d: 3}"], {"a", "b", "d"}),
        (["@file.yml", "@{odd}.yml"], set()),
        (["[1, 2]"], set()),
        (["url=http://host/?q=1"], {"url"}),
        ([], set()),
    ],
)
def test_what_was_typed(arguments: list[str], names: set[str]) -> None:
    assert settings.typed_names(arguments) == names
