"""What is written on nodes has one home; the roles that write some of it themselves write the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from failover_lab.kube import names

ROLES = Path(__file__).resolve().parents[3] / "roles"
NAMES = ["CORDONED_BY", "LEFT_BY", "EXCLUDED_BY", "OUT_OF_SERVICE_BY"]


def written(role: str) -> dict[str, str]:
    """What a role writes on nodes, by its name in the package."""
    variables = yaml.safe_load((ROLES / role / "vars/main.yml").read_text(encoding="utf-8"))
    found = {name: variables.get(f"__{role}_{name.lower()}") for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("name", NAMES)
def test_the_roles_write_the_same(name: str) -> None:
    found = [marks[name] for marks in map(written, ("fault", "failover")) if name in marks]
    assert found
    assert set(found) == {getattr(names, name)}
