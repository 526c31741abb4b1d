"""Two labs side by side: neither knows of the other, which grows meanwhile, and then ends.

The second one's user sits behind a proxy, with the exceptions that the page about proxies names.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.pages import PAGES
from tests.proxy import Proxy, is_of_this_machine, proxy

from .conftest import PROFILE, SECOND, Lab, containers_of, cut_short, docker
from .pictures import picture

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.shares]
# As the page has it, so that what it says is what was tried.
EXCEPTED = re.findall(
    r"export NO_PROXY=(\S+)",
    next(page for page in PAGES if page.name == "proxy-or-mirror.md").read_text(encoding="utf-8"),
)[0]
GROWN = ("-e", "cluster_nodes=3", "-e", "site_replicas=2")


@pytest.fixture
def company() -> Iterator[Proxy]:
    """A proxy that has no way to the labs' networks."""
    with proxy() as running:
        yield running


@pytest.fixture
def second(lab: Lab, company: Proxy) -> Iterator[Lab]:
    """Another lab, as small as can be; gone afterwards, whatever happens."""
    proxied = company.environment(*EXCEPTED.split(","))
    result = dataclasses.replace(lab, profile=SECOND, environment=lab.environment | proxied)
    try:
        played = result.play("setup", "-e", "cluster_nodes=2", "-e", "site_replicas=2")
        assert played.returncode == 0, played.output[-6000:]
        yield result
    finally:
        gone = result.play("teardown")
        assert gone.returncode == 0, gone.output[-6000:]


def subnet(profile: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(
        json.loads(docker("network", "inspect", profile))[0]["IPAM"]["Config"][0]["Subnet"]
    )


def contexts(lab: Lab) -> tuple[str, set[str]]:
    config = yaml.safe_load(Path(lab.environment["KUBECONFIG"]).read_text())
    return config["current-context"], {context["name"] for context in config["contexts"]}


def serves(lab: Lab, nodes: int) -> None:
    """Every node is ready, and who answers is one of this lab's pods."""
    found = lab.get("nodes")["items"]
    ready = [c["status"] for node in found for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True"] * nodes
    who = json.loads(lab.ask("/whoami")[0])
    assert lab.pods()[who["pod"]][1] == who["node"]


@pytest.fixture
def before(lab: Lab) -> dict[str, str]:
    """The first lab before there is another one."""
    return picture(lab)


def test_two_labs_side_by_side(lab: Lab, before: dict[str, str], second: Lab, company: Proxy) -> None:
    assert set(containers_of(SECOND)) == {SECOND, f"{SECOND}-m02"}
    serves(second, nodes=2)
    serves(lab, nodes=3)
    assert second.url() != lab.url()
    assert not subnet(SECOND).overlaps(subnet(PROFILE))
    assert second.registry_port() != lab.registry_port()
    assert contexts(lab) == ("users-own", {"users-own", PROFILE, SECOND})

    cut_short(second, signal.SIGINT, *GROWN, nodes=3)
    assert "kubelet.conf" not in docker("exec", f"{SECOND}-m03", "ls", "/etc/kubernetes"), "it has joined"
    grown = second.play("setup", *GROWN)
    assert grown.returncode == 0, grown.output[-6000:]
    assert set(containers_of(SECOND)) == {SECOND, f"{SECOND}-m02", f"{SECOND}-m03"}
    serves(second, nodes=3)

    gone = second.play("teardown")
    assert gone.returncode == 0, gone.output[-4000:]
    assert [host for host in company.asked if is_of_this_machine(host)] == []
    assert "registry.k8s.io" in company.asked, "nothing went through the proxy"
    assert SECOND not in docker("ps", "--all", "--format={{.Names}}")
    assert SECOND not in docker("network", "ls", "--format={{.Name}}")
    assert SECOND not in docker("volume", "ls", "--format={{.Name}}")
    assert not second.state.exists()
    assert contexts(lab) == ("users-own", {"users-own", PROFILE})
    assert picture(lab) == before
    serves(lab, nodes=3)
