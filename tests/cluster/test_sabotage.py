"""One thing is broken on purpose, and whoever judges the lab goes red and names it.

The judge is molecule's: molecule/default/verify.yml.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import PROFILE, docker, paused
from .judge import judged
from .web_server import CONTAINER, WHO, configured

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.shares]
IN_THE_STORY = ("selector", "cordon", "registry")

SITE = "--namespace=site"
POOLS = "--namespace=metallb-system"


@pytest.fixture(autouse=True)
def scenarios_beside(request: pytest.FixtureRequest) -> None:
    """Molecule's small scenarios run beside what the story of `make test` has not."""
    if request.node.get_closest_marker("nightly"):
        request.getfixturevalue("small_scenarios_ahead")


def patched(lab: Lab, what: str, change: str, back: str, namespace: str = SITE) -> Iterator[None]:
    lab.kubectl("patch", *what.split(), namespace, "--type=json", f"--patch={change}")
    try:
        yield
    finally:
        lab.kubectl("patch", *what.split(), namespace, "--type=json", f"--patch={back}")


def rolled_out(lab: Lab) -> None:
    """The new pods serve, and the old ones, which a judge would count, are gone."""
    lab.rolled_out()
    lab.settled()


@contextlib.contextmanager
def selector(lab: Lab) -> Iterator[None]:
    """The Service's selector fits no pod."""
    path = "/spec/selector/app.kubernetes.io~1name"
    change = '[{"op": "replace", "path": "%s", "value": "%s"}]'
    yield from patched(lab, "service site", change % (path, "nobody"), change % (path, "site"))


@contextlib.contextmanager
def readiness(lab: Lab) -> Iterator[None]:
    """What readiness asks for does not exist."""
    path = f"{CONTAINER}/readinessProbe/httpGet/path"
    before = lab.get("deployment", "site", SITE)["spec"]["template"]["spec"]["containers"][0]
    change = '[{"op": "replace", "path": "%s", "value": "%s"}]'
    good = before["readinessProbe"]["httpGet"]["path"]
    yield from patched(lab, "deployment site", change % (path, "/nothing"), change % (path, good))
    rolled_out(lab)


@contextlib.contextmanager
def replicas(lab: Lab) -> Iterator[None]:
    """There is one replica."""
    lab.kubectl("scale", "deployment/site", SITE, "--replicas=1")
    try:
        yield
    finally:
        lab.kubectl("scale", "deployment/site", SITE, "--replicas=4")
        rolled_out(lab)


@contextlib.contextmanager
def cordon(lab: Lab) -> Iterator[None]:
    """A cordon was left behind."""
    lab.kubectl("cordon", f"{PROFILE}-m02")
    try:
        yield
    finally:
        lab.kubectl("uncordon", f"{PROFILE}-m02")


@contextlib.contextmanager
def pull_secret(lab: Lab) -> Iterator[None]:
    """What the nodes pull with is gone."""
    pod = lab.get("pods", SITE)["items"][0]
    name = pod["spec"]["imagePullSecrets"][0]["name"]
    secret = lab.get("secret", name, SITE)
    lab.kubectl("delete", "secret", name, SITE)
    try:
        yield
    finally:
        secret["metadata"] = {key: secret["metadata"][key] for key in ("name", "namespace")}
        path = lab.home / "secret.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(secret))
        lab.kubectl("create", f"--filename={path}")
        path.unlink()


@contextlib.contextmanager
def pool(lab: Lab) -> Iterator[None]:
    """The load balancer has no addresses, and the Service none."""
    found = lab.get("ipaddresspools.metallb.io", POOLS)["items"][0]
    name = found["metadata"]["name"]
    lab.kubectl("delete", "ipaddresspools.metallb.io", name, POOLS)
    try:
        yield
    finally:
        found["metadata"] = {key: found["metadata"][key] for key in ("name", "namespace")}
        found.pop("status", None)
        path = lab.home / "pool.json"
        path.write_text(json.dumps(found))
        lab.kubectl("create", f"--filename={path}")
        deadline = time.monotonic() + 60
        while not lab.get("service", "site", SITE)["status"]["loadBalancer"].get("ingress"):
            assert time.monotonic() < deadline, "no address again within 60 s"
            time.sleep(0.5)


@contextlib.contextmanager
def other_image(lab: Lab) -> Iterator[None]:
    """The pods run another image of the registry, made of another style sheet."""
    before = lab.get("deployment", "site", SITE)["spec"]["template"]["spec"]["containers"][0]["image"]
    repository = before.partition("@")[0].partition("/")[2]
    local = f"127.0.0.1:{lab.registry_port()}/{repository}"
    context = lab.home / "sabotage"
    context.mkdir(exist_ok=True)
    (context / "style.css").write_text("/* nothing */\n")
    login = ("--config", str(lab.state / "docker"))
    docker(*login, "pull", f"{local}@{before.partition('@')[2]}")
    (context / "Dockerfile").write_text(
        f"FROM {local}@{before.partition('@')[2]}\nCOPY style.css /site/html/assets/style.css\n"
    )
    docker("build", "--quiet", f"--tag={local}:sabotage", str(context))
    docker(*login, "push", "--quiet", f"{local}:sabotage")
    digest = docker("image", "inspect", "--format={{index .RepoDigests 0}}", f"{local}:sabotage")
    image = f"{before.partition('@')[0]}@{digest.strip().partition('@')[2]}"
    docker("image", "rm", f"{local}:sabotage")
    lab.kubectl("set", "image", "deployment/site", f"site={image}", SITE)
    try:
        rolled_out(lab)
        yield
    finally:
        lab.kubectl("set", "image", "deployment/site", f"site={before}", SITE)
        rolled_out(lab)


@contextlib.contextmanager
def page(lab: Lab) -> Iterator[None]:
    """One of the pages is missing."""
    missing = f"location = /about {{ return 404; }}\n        {WHO}"
    with configured(lab, "sabotage", missing) as mounted:
        lab.kubectl("patch", "deployment", "site", SITE, "--type=json", f"--patch={json.dumps(mounted)}")
        try:
            rolled_out(lab)
            yield
        finally:
            lab.kubectl("rollout", "undo", "deployment/site", SITE)
            rolled_out(lab)


@contextlib.contextmanager
def registry(_lab: Lab) -> Iterator[None]:
    """The registry has ended."""
    docker("stop", "--time=1", f"{PROFILE}-registry")
    try:
        yield
    finally:
        docker("start", f"{PROFILE}-registry")


SABOTAGE: dict[str, tuple[Callable[[Lab], AbstractContextManager[None]], str]] = {
    "selector": (selector, "The Service leads to the site's pods"),
    "readiness": (readiness, "As many pods as there should be are ready, some on each node"),
    "replicas": (replicas, "As many pods as there should be are ready, some on each node"),
    "cordon": (cordon, "No node is cordoned"),
    "pull secret": (pull_secret, "What the nodes pull with is there"),
    "pool": (pool, "The load balancer has addresses, and has given one"),
    "image": (other_image, "What is served beside them is what the folder holds"),
    "page": (page, "The pages that it leads to"),
    "paused": (lambda lab: paused(lab, f"{PROFILE}-m02"), "Every node is ready, and runs in the engine"),
    "registry": (registry, "Where the registry listens"),
}


def test_a_sound_lab_is_called_sound(lab: Lab, tmp_path: Path) -> None:
    assert judged(lab, "default", tmp_path) == ""


@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=[] if what in IN_THE_STORY else pytest.mark.nightly) for what in SABOTAGE],
)
def test_what_is_broken_is_named(lab: Lab, tmp_path: Path, what: str) -> None:
    sabotage, name = SABOTAGE[what]
    with sabotage(lab):
        assert judged(lab, "default", tmp_path) == name


@pytest.mark.nightly
def test_what_was_broken_is_mended(lab: Lab, tmp_path: Path) -> None:
    assert judged(lab, "default", tmp_path) == ""
