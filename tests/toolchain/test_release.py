"""The source `release`: what is fetched, what is refused, and what a later run makes of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.pinned import KUBERNETES, METALLB, MINIKUBE
from tests.proxy import proxy

COMMANDS = ("minikube", "kubeadm", "kubelet", "kubectl")
Toolchain = Any  # the fixtures' types are in conftest.py, which tests cannot import
Mirror = Any


def release(mirror: Mirror) -> dict[str, Any]:
    """Settings for commands alone, so that no image is looked for."""
    settings: dict[str, Any] = mirror.settings()
    return settings | {"toolchain_source": "release", "toolchain_images_source": "release"}


def test_real_commands_are_fetched_once_through_a_proxy(
    toolchain: Toolchain, real_mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` meets servers that answer: all is fetched, checked and run; the second run asks nobody.

    Nodes pull the images, which have no proxy: that registry is asked directly.
    """
    here = urlsplit(real_mirror.url)
    registry = real_mirror.settings()["toolchain_images_url"]
    real_mirror.url = "http://releases.example.org"
    with proxy({"releases.example.org": (str(here.hostname), int(here.port or 0))}) as company:
        company.set_in(monkeypatch)
        fetched_once(
            toolchain, real_mirror, real_mirror.settings() | {"toolchain_images_url": registry}, tmp_path
        )
    assert company.asked.count("releases.example.org") == len(company.asked) > 8


def fetched_once(toolchain: Toolchain, real_mirror: Mirror, settings: dict[str, Any], tmp_path: Path) -> None:
    first = toolchain(settings).went_well()
    assert first.chosen == (
        "Commands from release (the release servers answer), "
        "images from release (the container registry answers)."
    )
    assert first.facts["commands_from"] == first.facts["images_from"] == "release"
    assert first.facts["node_image"] == "", "released images come by minikube's own choice"
    folder = Path(first.facts["kubernetes_dir"])
    assert folder.is_relative_to(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted(COMMANDS)
    assert Path(first.facts["metallb_manifest"]).read_text(encoding="utf-8").startswith("apiVersion")
    for argv, version in (
        ([first.facts["minikube"], "version", "--short"], MINIKUBE),
        ([first.facts["kubectl"], "version", "--client"], KUBERNETES),
        ([str(folder / "kubeadm"), "version", "--output=short"], KUBERNETES),
        ([str(folder / "kubelet"), "--version"], KUBERNETES),
    ):
        said = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env=os.environ | {"HOME": str(tmp_path)},
        ).stdout
        assert version in said

    real_mirror.asked.clear()
    second = toolchain(settings).went_well()
    assert second.changed == 0, second.output
    assert real_mirror.asked == []
    assert second.facts == first.facts
    assert "an earlier run has left them in the cache" in second.chosen


def test_what_is_damaged_is_refused_and_what_is_missing_is_fetched(
    toolchain: Toolchain, mirror: Mirror, tmp_path: Path
) -> None:
    """One byte of one file, then a connection that breaks, then servers that are well again."""
    whole = mirror.files[mirror.path("kubelet")]
    mirror.files[mirror.path("kubelet")] = bytes([whole[0] ^ 1]) + whole[1:]
    toolchain(release(mirror)).refused(
        "kubelet",
        mirror.url,
        "is damaged",
        "Run again",
        "toolchain_kubernetes_url",
        "toolchain_source=modules",
    )
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(left) == ["kubeadm", "minikube"], "the good ones stay, the damaged one does not"
    assert [path.name for path in (tmp_path / "cache" / "release").iterdir()] == [
        f"{MINIKUBE}-{KUBERNETES}.partial"
    ]

    mirror.files[mirror.path("kubelet")] = whole
    mirror.broken_off.add(mirror.path("kubectl"))
    toolchain(release(mirror)).refused("kubectl", "toolchain_kubernetes_url")

    mirror.broken_off.clear()
    mirror.asked.clear()
    mirror.files[f"/metallb/{METALLB}/config/manifests/metallb-native.yaml"] = b"kind: List\n"
    toolchain(release(mirror)).refused(
        "MetalLB's manifest", "toolchain_metallb_checksum", "toolchain_metallb_url"
    )
    assert [path for path in mirror.asked if path == mirror.path("kubectl")] != []
    assert mirror.path("minikube") not in mirror.asked, "what was whole is not fetched again"
    fetched = next((tmp_path / "cache" / "release").glob("*/kubectl")).parent
    for command in COMMANDS:
        assert (fetched / command).read_bytes() == mirror.files[mirror.path(command)]
        assert os.access(fetched / command, os.X_OK)


@pytest.mark.parametrize(
    "checksum", [None, b"", b"<html>welcome to the hotel</html>"], ids=["missing", "empty", "web-page"]
)
def test_nothing_is_used_without_its_checksum(
    toolchain: Toolchain, mirror: Mirror, tmp_path: Path, checksum: bytes | None
) -> None:
    del mirror.files[f"{mirror.path('minikube')}.sha256"]
    if checksum is not None:
        mirror.files[f"{mirror.path('minikube')}.sha256"] = checksum
    # Check mode asks for the checksums as well, so that it can say no before anything is fetched.
    options = ["--check"] if checksum is None else []
    toolchain(release(mirror), *options).refused(
        "no checksum for minikube", f"{mirror.path('minikube')}.sha256", "toolchain_minikube_url"
    )
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
