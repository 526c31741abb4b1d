"""``delete-pods``: kill pods with no grace, all at once, and wait until each is gone."""

from __future__ import annotations

import argparse
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.kube.client import Api, delete_pod
from failover_lab.kube.errors import RefusedError
from failover_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_EVERY_S = 0.1
_POD = re.compile(r"([a-z0-9][-a-z0-9.]*)=([-0-9A-Za-z]+)")


@dataclass(frozen=True)
class Pod:
    """One pod, and no other of its name."""

    name: str
    uid: str


def pod(value: str) -> Pod:
    """A type for ``name=uid``."""
    match = _POD.fullmatch(value)
    if not match:
        raise argparse.ArgumentTypeError(f"{value!r} is not NAME=UID")
    return Pod(match[1], match[2])


def kill(api: Api, namespace: str, target: Pod) -> None:
    """Delete one pod with no grace.

    Raises:
        UserError: it is gone already, or the API server said no.
    """
    try:
        deleted = delete_pod(api.request, namespace, target.name, target.uid)
    except RefusedError as refusal:
        raise UserError(f"the cluster refused to delete pod {target.name}: {refusal}") from refusal
    if not deleted:
        raise UserError(f"pod {target.name} has vanished since it was chosen; nothing was done to it")


def is_gone(api: Api, namespace: str, target: Pod) -> bool:
    """Whether no pod has this UID any more; a silence is no answer, and no more is "not now".

    Raises:
        UserError: the API server said no.
    """
    try:
        found = api.request("get", f"/api/v1/namespaces/{namespace}/pods/{target.name}")
    except RefusedError as refusal:
        if refusal.status == 404:
            return True
        if refusal.passing:
            return False
        raise UserError(f"the cluster refused: {refusal}") from refusal
    return bool(found["metadata"]["uid"] != target.uid)


def wait(api: Api, namespace: str, pods: Sequence[Pod], timeout_s: float) -> list[Pod]:
    """Those that are not gone when the time is over."""
    left = list(pods)

    def look() -> list[Pod]:
        left[:] = [target for target in left if not is_gone(api, namespace, target)]
        return left

    return until(look, timeout_s, every_s=LOOK_EVERY_S)


def add_parser(commands: arguments.Commands) -> None:
    """Add ``delete-pods`` to the command line."""
    parser = arguments.command(commands, "delete-pods", run)
    parser.add_argument("pods", nargs="+", type=pod, metavar="NAME=UID")
    parser.add_argument("--namespace", required=True)
    arguments.add_cluster(parser)
    arguments.add_seconds(parser, "--timeout", 60.0, low=1, high=3600)


def run(options: argparse.Namespace) -> Answer:
    """Kill pods with no grace, all at once.

    Deletes exactly these pods, with a grace period of 0, all at the same time, and waits until each is
    gone. The last line is JSON: the instant at which it began, in seconds since 1970. Status 1 where one
    is left after the time-out.
    """
    api = Api(options.context, options.kubeconfig)
    try:
        # The first request opens the connection, which must not count.
        api.request("get", "/version")
    except RefusedError as refusal:
        raise UserError(f"the cluster refused: {refusal}; no pod was deleted") from refusal
    began = time.time()
    with ThreadPoolExecutor(len(options.pods)) as threads:
        list(threads.map(lambda target: kill(api, options.namespace, target), options.pods))
    left = wait(api, options.namespace, options.pods, options.timeout)
    if left:
        why = f"after {options.timeout:g} s still there: {', '.join(target.name for target in left)}"
        print(why)
        return no(why, {"began": began}, changed=True)
    data = {"began": began}
    print(json.dumps(data))
    return Answer(data, changed=True)
