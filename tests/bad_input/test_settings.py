"""A setting that cannot be meant so: the role's own words where it has some, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Role = Callable[..., Any]


@pytest.mark.parametrize(
    ("role", "settings", "words"),
    [
        ("cluster", {"cluster_nodes": "foo"}, ["a whole number from 2 to 8", "'foo'"]),
        ("cluster", {"cluster_nodes": 1}, ["a whole number from 2 to 8", "'1'"]),
        ("cluster", {"cluster_nodes": 3.5}, ["a whole number from 2 to 8", "'3.5'"]),
        ("cluster", {"cluster_profile": "Not A Name"}, ["lab_profile", "'Not A Name'"]),
        ("cluster", {"cluster_failure_detection": "eager"}, ["cluster_failure_detection", "default, fast"]),
        ("cluster", {"cluster_timeout_s": "long"}, ["cluster_timeout_s", "int"]),
        ("registry", {"registry_port": "foo"}, ["registry_port must be from 1024 to 65535", "foo"]),
        ("registry", {"registry_url": "reg.example"}, ["registry_username and registry_password"]),
        ("toolchain", {"toolchain_source": "guess"}, ["toolchain_source", "auto, release, modules"]),
        ("load_balancer", {"load_balancer_provider": "magic"}, ["load_balancer_provider", "metallb, none"]),
        ("fault", {"fault_kind": "explode"}, ["'explode' is not known", "choose one of drain"]),
        ("fault", {"fault_timeout_s": "long"}, ["fault_timeout_s", "int"]),
    ],
)
def test_refused(
    run_role: Role, tmp_path: Path, role: str, settings: dict[str, Any], words: list[str]
) -> None:
    places = {"lab_state_dir": str(tmp_path / "state"), "lab_cache_dir": str(tmp_path / "cache")}
    run_role(role, settings | places, "--check").refused(*words)
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "cache").exists()
