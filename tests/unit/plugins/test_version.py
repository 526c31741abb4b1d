"""The lookup `version` reads the home of the versions, and names what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible_collections.failover_lab.lab.plugins.lookup import version

HOME = Path(__file__).resolve().parents[3] / "versions.yml"
PINS = yaml.safe_load(HOME.read_text(encoding="utf-8"))


def looked_up(*names: str, **options: str) -> list[str]:
    plugin = lookup_loader.get("failover_lab.lab.version")
    found: list[str] = plugin.run(list(names), {}, **options)
    return found


def test_versions_and_what_else_is_said_of_them() -> None:
    assert looked_up("metallb", "go") == [PINS["metallb"]["version"], PINS["go"]["version"]]
    assert looked_up("metallb", field="checksum") == [PINS["metallb"]["checksum"]]


def test_what_there_is_not() -> None:
    with pytest.raises(AnsibleLookupError, match=r"versions\.yml pins no metalb: it pins .*metallb"):
        looked_up("metalb")
    with pytest.raises(AnsibleLookupError, match=r"has no checksum of go: it has version, "):
        looked_up("go", field="checksum")


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "damaged"])
def test_a_collection_that_is_not_in_its_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setattr(version, "HOME", tmp_path / "versions.yml")
    if content is not None:
        (tmp_path / "versions.yml").write_text(content)
    with pytest.raises(AnsibleLookupError, match=r"cannot be read: (?s:.*)take it from there"):
        looked_up("go")
