"""How fast a cluster notices a dead node: the settings, and the texts that carry them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.kube.objects import of

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
# kubeadm's own line for "as it comes"; the key of the lease it leaves out.
UNSET = {"nodeStatusUpdateFrequency": "0s", "nodeStatusReportFrequency": "0s"}
PROGRAM = "kube-controller-manager"


@dataclass(frozen=True)
class Kubelet:
    """How often a kubelet says that its node lives, in seconds.

    The lease is renewed at a quarter of its length. The status is looked at each ``status_s``, and sent when
    it has changed, or else each ``report_s``.
    """

    lease_s: float = 40.0
    status_s: float = 10.0
    report_s: float = 300.0

    @classmethod
    def of(cls, config: Object) -> Kubelet:
        """From a kubelet's own account of its configuration."""
        return cls(
            float(config["nodeLeaseDurationSeconds"]),
            seconds(config["nodeStatusUpdateFrequency"]),
            seconds(config["nodeStatusReportFrequency"]),
        )

    def lines(self) -> dict[str, str]:
        """The keys of a kubelet's configuration that say so; what is Kubernetes' own is not said."""
        if self == Kubelet():
            return {}
        return {
            "nodeLeaseDurationSeconds": f"{self.lease_s:.0f}",
            "nodeStatusUpdateFrequency": f"{self.status_s:g}s",
            "nodeStatusReportFrequency": f"{self.report_s:g}s",
        }

    def written_in(self, text: str) -> str:
        """A kubelet's configuration with these settings and all else as it was, to the byte."""
        wanted = self.lines()
        keys = ("nodeLeaseDurationSeconds", *UNSET)
        kept = []
        for line in text.splitlines():
            key = line.partition(":")[0]
            if key not in keys:
                kept.append(line)
            elif value := wanted.pop(key, UNSET.get(key)):
                kept.append(f"{key}: {value}")
        kept += [f"{key}: {value}" for key, value in wanted.items()]
        return "\n".join(kept) + "\n"


@dataclass(frozen=True)
class Controller:
    """How long the controller manager waits for a sign of life, and how often it looks, in seconds."""

    grace_s: float
    monitor_period_s: float = 5.0

    @classmethod
    def own(cls, version: str) -> Controller:
        """Kubernetes' own settings.

        Args:
            version: of the API server, as ``v1.2.3``.
        """
        minor = re.match(r"v1\.(\d+)", version)
        return cls(40.0 if minor and int(minor[1]) < 32 else 50.0)

    @classmethod
    def of(cls, command: list[str], own: Controller) -> Controller:
        """From the command line of a running controller manager."""
        flags = dict(word.split("=", 1) for word in command if word.startswith("--") and "=" in word)
        grace, period = flags.get("--node-monitor-grace-period"), flags.get("--node-monitor-period")
        return cls(
            seconds(grace) if grace else own.grace_s, seconds(period) if period else own.monitor_period_s
        )

    def written_in(self, text: str, own: Controller) -> str:
        """A static pod's manifest with these settings and all else as it was, to the byte.

        Raises:
            ValueError: it is no manifest of a controller manager as kubeadm writes it.
        """
        lines = [
            line for line in text.splitlines() if not re.match(r"\s*- --node-monitor-(grace-)?period=", line)
        ]
        program = re.compile(rf"\s*- {PROGRAM}")
        at = next((number for number, line in enumerate(lines) if program.fullmatch(line)), None)
        if at is None:
            raise ValueError(f"no line '- {PROGRAM}'")
        if self != own:
            begin = lines[at].partition("-")[0]
            lines[at + 1 : at + 1] = [
                f"{begin}- --node-monitor-grace-period={self.grace_s:g}s",
                f"{begin}- --node-monitor-period={self.monitor_period_s:g}s",
            ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Detection:
    """Both sides together."""

    kubelet: Kubelet
    controller: Controller

    def facts(self) -> dict[str, float]:
        """For predictions, in seconds."""
        figures = {
            "lease_s": self.kubelet.lease_s,
            "status_frequency_s": self.kubelet.status_s,
            "grace_s": self.controller.grace_s,
            "monitor_period_s": self.controller.monitor_period_s,
        }
        return {name: int(value) if value == int(value) else value for name, value in figures.items()}


def command_of(pod: Object) -> list[str]:
    """The command line of a pod's first container."""
    container = of(pod, "spec", "containers", default=[{}])[0]
    return [*of(container, "command", default=[]), *of(container, "args", default=[])]


def seconds(text: str) -> float:
    """A duration as Go writes it, such as ``1m30s``.

    Raises:
        ValueError: it is none.
    """
    parts = PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not parts:
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * UNITS_S[unit] for number, unit in parts)
