"""``wait-restarts``: wait until containers that were killed have others in their place."""

from __future__ import annotations

import argparse
import re
import urllib.parse
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.kube.client import Api
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import name_of, of
from failover_lab.waiting import until

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

LOOK_EVERY_S = 0.25
_CONTAINER = re.compile(r"([-0-9a-zA-Z]+)=([0-9a-f]+)(?:\+[0-9a-f]+)*")


def container(value: str) -> tuple[str, str]:
    """A type for ``UID=ID``; further ids behind a + are passed over."""
    match = _CONTAINER.fullmatch(value)
    if not match:
        raise argparse.ArgumentTypeError(f"{value!r} is not UID=ID")
    return match[1], match[2]


def missing_of(pods: list[Object], wanted: dict[str, str]) -> list[str]:
    """Pods that have no other container yet, in words; one that is gone has given its place away."""
    result = []
    for pod in pods:
        old = wanted.get(str(of(pod, "metadata", "uid")))
        if old is None:
            continue
        statuses = of(pod, "status", "containerStatuses", default=[])
        running = [status for status in statuses if of(status, "state", "running") is not None]
        if any(old in str(status.get("containerID")) for status in statuses):
            result.append(f"{name_of(pod)} still counts as it was")
        elif len(running) < len(statuses) or not statuses:
            waits = next(
                (why for s in statuses if (why := of(s, "state", "waiting", "reason"))), "it has not started"
            )
            result.append(f"{name_of(pod)} has no other container yet ({waits})")
    return result


def add_parser(commands: arguments.Commands) -> None:
    """Add ``wait-restarts`` to the command line."""
    parser = arguments.command(commands, "wait-restarts", run)
    parser.add_argument("containers", nargs="+", type=container, metavar="UID=ID")
    parser.add_argument("--namespace", required=True)
    arguments.add_cluster(parser)
    arguments.add_seconds(parser, "--timeout", 60.0, low=1, high=3600)


def run(options: argparse.Namespace) -> Answer:
    """Wait until containers that were killed have others in their place.

    The API tells for a moment what was true before. Waits until each of these pods has another container
    that runs, or is gone. Status 1 where one has not after the time-out.
    """
    api, wanted = Api(options.context, options.kubeconfig), dict(options.containers)
    path = f"/api/v1/namespaces/{urllib.parse.quote(options.namespace, safe='')}/pods"

    def look() -> list[str]:
        try:
            return missing_of(api.request("get", path).get("items") or [], wanted)
        except RefusedError as refusal:
            if refusal.passing:
                return [str(refusal)]
            raise UserError(f"the cluster refused: {refusal}") from refusal

    missing = until(look, options.timeout, every_s=LOOK_EVERY_S)
    if missing:
        why = f"after {options.timeout:g} s: {'; '.join(missing)}"
        print(why)
        return no(why, {"missing": missing})
    return Answer({"missing": []})
