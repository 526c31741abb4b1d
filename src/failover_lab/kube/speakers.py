"""How soon MetalLB's speakers hold one of them for lost: they watch each other (memberlist)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.kube.detection import seconds
from failover_lab.kube.objects import of
from failover_lab.run import files

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

_LABELS = {"app": "metallb", "component": "speaker"}
# What a speaker reads from version 0.16 on, if its pod mounts it.
_CONFIG = "metallb-memberlist-config"
_KEY = "config.json"


@dataclass(frozen=True)
class Watch:
    """How the speakers watch each other; unless set, memberlist's own values for a LAN.

    Attributes:
        probe_s: each asks another one this often, and suspects it when no answer has come by the next time.
        suspicion_mult: how many times that a suspicion has to last, in a cluster of up to ten.
    """

    probe_s: float = 1.0
    suspicion_mult: int = 4

    @classmethod
    def of(cls, text: str) -> Watch:
        """From the file that the speakers read; memberlist's own where it is none.

        Args:
            text: its content, JSON.
        """
        try:
            content = files.parse(text)
            return cls(seconds(content["ProbeInterval"]), int(content["SuspicionMult"]))
        except (ValueError, TypeError, KeyError):
            # The speakers would not have started with it: they still run with what they had before.
            return cls()

    def suspicion_s(self, speakers: int) -> float:
        """For how long a silent one is suspected before it is given up, in seconds.

        Args:
            speakers: how many there are. (memberlist's ``suspicionTimeout``.)
        """
        return self.suspicion_mult * max(1.0, math.log10(max(1, speakers))) * self.probe_s


def timings_of(cluster: Cluster, pods: list[Object]) -> Object:
    """The settings in force, in seconds; none where no speaker of MetalLB runs.

    Args:
        cluster: where to look.
        pods: every pod of the cluster.
    """
    speakers = [pod for pod in pods if _LABELS.items() <= of(pod, "metadata", "labels", default={}).items()]
    if not speakers:
        return {}
    watch, volumes = Watch(), of(speakers[0], "spec", "volumes", default=[])
    if any(of(volume, "configMap", "name") == _CONFIG for volume in volumes):
        namespace = str(of(speakers[0], "metadata", "namespace"))
        watch = Watch.of(cluster.config_map_if_allowed(namespace, _CONFIG, _KEY))
    return {"probe_s": watch.probe_s, "suspicion_s": watch.suspicion_s(len(speakers))}
