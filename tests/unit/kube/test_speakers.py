"""How soon MetalLB's speakers hold one of them for lost, by what they were started with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.kube import speakers

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

FAST = json.dumps({"ProbeInterval": "250ms", "SuspicionMult": 3})


class Asked:
    """A cluster with one ConfigMap, or none that this user may read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[tuple[str, ...]] = []

    def config_map_if_allowed(self, *what: str) -> str:
        self.asked.append(what)
        return self.text


def speaker(*mounts: str) -> dict[str, Any]:
    volumes = [{"name": name, "configMap": {"name": name}} for name in mounts]
    labels = {"app": "metallb", "component": "speaker", "controller-revision-hash": "x"}
    return {"metadata": {"namespace": "lb", "labels": labels}, "spec": {"volumes": volumes}}


def found(text: str, *pods: dict[str, Any]) -> tuple[dict[str, float], list[tuple[str, ...]]]:
    asked = Asked(text)
    return speakers.timings_of(cast("Cluster", asked), [*pods]), asked.asked


def test_it_is_read_from_what_the_speakers_mount() -> None:
    timings, asked = found(FAST, speaker("metallb-excludel2", "metallb-memberlist-config"), speaker())
    assert timings == {"probe_s": 0.25, "suspicion_s": 0.75}
    assert asked == [("lb", "metallb-memberlist-config", "config.json")]


def test_a_version_that_mounts_none_has_memberlists_own() -> None:
    timings, asked = found(FAST, speaker("metallb-excludel2"))
    assert timings == {"probe_s": 1.0, "suspicion_s": 4.0}
    assert asked == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ProbeInterval": "soon", "SuspicionMult": 3}'])
def test_without_a_file_that_holds_them_likewise(text: str) -> None:
    timings, _ = found(text, speaker("metallb-memberlist-config"))
    assert timings == {"probe_s": 1.0, "suspicion_s": 4.0}


def test_where_no_speaker_runs_nothing_is_said() -> None:
    assert found(FAST, {"metadata": {"labels": {"app": "metallb", "component": "controller"}}}) == ({}, [])


def test_many_speakers_take_longer_to_agree() -> None:
    assert speakers.Watch().suspicion_s(100) == 8.0
