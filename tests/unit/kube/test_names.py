"""What is written on nodes has one home; the role that writes some of it itself writes the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from failover_lab.kube import names

VARIABLES = Path(__file__).resolve().parents[3] / "roles/fault/vars/main.yml"


@pytest.mark.parametrize("name", ["CORDONED_BY", "LEFT_BY", "EXCLUDED_BY", "OUT_OF_SERVICE_BY"])
def test_the_role_fault_writes_the_same(name: str) -> None:
    written = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))
    assert written[f"__fault_{name.lower()}"] == getattr(names, name)
