"""The lab's own registry: it reads its password anew, and only the lab's goes."""

from __future__ import annotations

import pytest
from tests.role_variables import holds, task, templated


@pytest.mark.parametrize("changed", [True, False])
def test_a_new_password_is_read_at_once(*, changed: bool) -> None:
    """The registry reads its file as it starts, and never again."""
    container = task("registry", "own", "Own | Run it")["community.docker.docker_container"]
    assert templated("registry", container["restart"], __registry_htpasswd={"changed": changed}) is changed


@pytest.mark.parametrize(
    ("labels", "goes"),
    [({"failover-lab.profile": "lab"}, True), ({"failover-lab.profile": "other"}, False), ({}, False)],
)
def test_only_the_labs_own_is_removed(labels: dict[str, str], *, goes: bool) -> None:
    found = {"exists": True, "container": {"Config": {"Labels": labels}}}
    conditions = task("registry", "absent", "Absent | Remove the lab's own registry")["when"]
    assert holds("registry", conditions, registry_profile="lab", __registry_found=found) is goes
    assert not holds("registry", conditions, registry_profile="lab", __registry_found={"exists": False})
