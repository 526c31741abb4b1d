"""Which source is chosen, and why: nothing is fetched or built here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pinned import KUBERNETES, MINIKUBE, VERSIONS

Toolchain = Any  # the fixtures' types are in conftest.py, which tests cannot import
Mirror = Any
#: Nothing listens on this port, so that the system refuses at once.
CLOSED = "http://127.0.0.1:1"


def settings_for(url: str) -> dict[str, Any]:
    return {
        "toolchain_minikube_url": f"{url}/minikube",
        "toolchain_kubernetes_url": f"{url}/kubernetes",
        "toolchain_images_url": f"{url}/v2/",
        "toolchain_metallb_url": f"{url}/metallb",
    }


class Mute:
    """A server that accepts every connection and never says a word."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.accepted: list[float] = []
        self.ended: list[float] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            threading.Thread(target=self.wait, args=[connection], daemon=True).start()

    def wait(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(4096):
                pass
        self.ended.append(time.monotonic())


@pytest.fixture
def mute() -> Iterator[Mute]:
    server = Mute()
    yield server
    server.listener.close()


def test_servers_that_are_not_there(toolchain: Toolchain) -> None:
    """The whole plan, without an engine and without servers: check mode says what would be built."""
    played = toolchain(settings_for(CLOSED), "--check").went_well()
    assert played.chosen.startswith("Commands from modules (")
    assert "images from modules (" in played.chosen
    assert f"{CLOSED}/v2/: Connection refused" in played.chosen
    assert f"{CLOSED}/minikube/{MINIKUBE}/minikube-linux-amd64.sha256: Connection refused" in played.chosen
    for step in (
        f"minikube {MINIKUBE}",
        f"registry {VERSIONS['registry']}",
        "Debian packages for the nodes",
        "the node image",
    ):
        assert f"would be made: {step}\n" in played.output


def test_servers_that_never_answer(toolchain: Toolchain, mute: Mute) -> None:
    """All are asked at once, and none for longer than the timeout."""
    played = toolchain(
        settings_for(mute.url) | {"toolchain_probe_timeout_s": 2}, tasks_from="locate"
    ).went_well()
    assert played.chosen.startswith("Commands from modules (")
    assert "no answer within 2 s" in played.chosen
    assert len(mute.accepted) == 6
    deadline = time.monotonic() + 5
    while len(mute.ended) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert max(mute.ended) - min(mute.accepted) < 2 + 2, "the decision took longer than its time"


def test_commands_as_released_and_images_from_modules(toolchain: Toolchain, mirror: Mirror) -> None:
    """Nobody asks the container registry; what is built is for images, so minikube is not among it."""
    played = toolchain(mirror.settings() | {"toolchain_images_source": "modules"}, "--check").went_well()
    assert played.chosen == (
        "Commands from release (the release servers answer), "
        "images from modules (as set by toolchain_images_source)."
    )
    assert "/v2/" not in mirror.asked
    assert f"would be made: kubernetes {KUBERNETES}" in played.output
    assert f"would be made: minikube {MINIKUBE}" not in played.output
    assert f"/release/{MINIKUBE}-{KUBERNETES}/minikube" in played.facts["minikube"]
    assert played.facts["node_image"].startswith(f"failover-lab/node:{KUBERNETES}-")


def test_an_earlier_run_left_commands_but_not_yet_the_images(
    toolchain: Toolchain, mirror: Mirror, tmp_path: Path
) -> None:
    """Interrupted between the two: what is there is kept, and only the registry is asked again."""
    (tmp_path / "cache" / "release" / f"{MINIKUBE}-{KUBERNETES}").mkdir(parents=True)
    closed = {"toolchain_images_url": f"{CLOSED}/v2/"}
    played = toolchain(mirror.settings() | closed, tasks_from="locate").went_well()
    assert played.chosen.startswith("Commands from release (an earlier run has left them in the cache), ")
    assert f"images from modules ({CLOSED}/v2/: Connection refused)" in played.chosen
    assert [path for path in mirror.asked if not path.startswith("/metallb/")] == []


def test_a_build_of_images_does_not_change_where_the_commands_are_from(
    toolchain: Toolchain, mirror: Mirror, tmp_path: Path
) -> None:
    """Kubernetes is built for the images too; without minikube it is no source of commands."""
    cache = tmp_path / "cache"
    found = toolchain(settings_for(CLOSED), tasks_from="locate").went_well()
    (cache / "release" / f"{MINIKUBE}-{KUBERNETES}").mkdir(parents=True)
    (cache / "modules" / Path(found.facts["kubectl"]).parent.name).mkdir(parents=True)
    played = toolchain(mirror.settings(), tasks_from="locate").went_well()
    assert played.chosen.startswith("Commands from release (an earlier run"), played.chosen


def test_other_versions_are_not_built(toolchain: Toolchain, tmp_path: Path) -> None:
    """`auto` would build, but the modules are of one version only: no cluster of the wrong one."""
    played = toolchain(settings_for(CLOSED) | {"toolchain_kubernetes_version": "v1.2.3"})
    played.refused("Connection refused", f"Kubernetes {KUBERNETES}", "toolchain_source=release")
    assert played.changed == 0
    assert not (tmp_path / "cache").exists()


def test_teardown_finds_the_minikube_of_another_version_of_kubernetes(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    """The setting of the role cluster is enough; without it, what that role wrote down is."""
    minikube = tmp_path / "cache" / "release" / f"{MINIKUBE}-v1.2.3" / "minikube"
    minikube.parent.mkdir(parents=True)
    minikube.touch()
    state = {"lab_state_dir": str(tmp_path / "state")}
    closed = settings_for(CLOSED) | state
    played = toolchain(closed | {"cluster_kubernetes_version": "v1.2.3"}, tasks_from="locate").went_well()
    assert played.facts["minikube"] == str(minikube)
    assert Path(played.facts["kubectl"]) == minikube.with_name("kubectl")

    played = toolchain(closed, tasks_from="locate").went_well()
    assert not Path(played.facts["minikube"]).exists()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "cluster.json").write_text(json.dumps({"start": [str(minikube), "start"]}))
    played = toolchain(closed, tasks_from="locate").went_well()
    assert played.facts["minikube"] == str(minikube)


def test_no_room_for_a_build(toolchain: Toolchain, tmp_path: Path) -> None:
    settings = settings_for(CLOSED) | {"toolchain_source": "modules", "toolchain_images_source": "release"}
    played = toolchain(settings | {"toolchain_min_free_gib": 10**6})
    played.refused(str(tmp_path / "cache"), "GiB free", "Make room", "lab_cache_dir")
    assert played.changed == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
@pytest.mark.parametrize("source", ["modules", "release"])
def test_no_room_on_a_small_disk(toolchain: Toolchain, mirror: Mirror, tmp_path: Path, source: str) -> None:
    disk = tmp_path / "cache"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=False)
    if done.returncode != 0:
        pytest.skip("this machine's root may not mount")
    try:
        settings = mirror.settings() | {"toolchain_source": source, "toolchain_images_source": "release"}
        played = toolchain(settings)
        played.refused(f"{disk} has 0.1 GiB free", "Make room", "lab_cache_dir")
        assert played.changed == 0
        assert list(disk.iterdir()) == []
        assert mirror.asked == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
