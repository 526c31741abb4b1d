"""``roll-out`` and ``roll-back``: have owners replace their pods, and take another image off again."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.kube.application import KINDS, ROLLABLE
from failover_lab.kube.client import Api, found, items
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import IMAGE_BEFORE
from failover_lab.kube.objects import name_of, of
from failover_lab.run import instants

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.kube.objects import Object

# What `kubectl rollout restart` writes.
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
# Which container is the application's, where it is not the first: kubectl's own word.
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def _path(namespace: str, kind: str, name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{KINDS[kind]}" + (f"/{name}" if name else "")


def owner(value: str) -> tuple[str, str]:
    """A type for ``KIND/NAME``."""
    kind, _, name = value.partition("/")
    if kind not in ROLLABLE or not name:
        raise argparse.ArgumentTypeError(f"{value!r} is not KIND/NAME, with one of {', '.join(ROLLABLE)}")
    return kind, name


def with_image(template: Object, image: str) -> tuple[list[Object], str]:
    """A template's containers with another image for its application, and the one that it had."""
    containers = of(template, "spec", "containers", default=[])
    chosen = of(template, "metadata", "annotations", _DEFAULT_CONTAINER)
    names = [one["name"] for one in containers]
    index = names.index(chosen) if chosen in names else 0
    changed = [one | {"image": image} if at == index else one for at, one in enumerate(containers)]
    return changed, str(containers[index].get("image", ""))


def roll_out(api: Api, namespace: str, kind: str, name: str, image: str = "") -> float:
    """Have an owner replace its pods by its own strategy; gives back when, in seconds since 1970.

    Args:
        api: the cluster.
        namespace: of the owner.
        kind: of it, one of ``ROLLABLE``.
        name: of it.
        image: another one; what was there before is written down on the owner in the same request.
            Empty: the same, as `kubectl rollout restart` does it.

    Raises:
        UserError: there is none of that name, it is changed by somebody else, or the API server said no.
    """
    try:
        there = found(api.request, _path(namespace, kind, name))
        if there is None:
            raise UserError(
                f"there is no {kind} {name} in the namespace {namespace} any more; nothing was done"
            )
        change: Object = {"metadata": {"resourceVersion": there["metadata"]["resourceVersion"]}}
        template = there["spec"]["template"]
        if image:
            containers, before = with_image(template, image)
            if before == image:
                raise UserError(
                    f"{name} has the image {image} already, so nothing would be rolled out: give another one"
                )
            # What was there first, where a run before was killed and nobody has put it right.
            first = of(there, "metadata", "annotations", IMAGE_BEFORE) or before
            change["metadata"]["annotations"] = {IMAGE_BEFORE: first}
            change["spec"] = {"template": {"spec": {"containers": containers}}}
        else:
            stamp = {_RESTARTED_AT: instants.text(time.time())}
            change["spec"] = {"template": {"metadata": {"annotations": stamp}}}
        began = time.time()
        api.request("patch", _path(namespace, kind, name), change)
    except RefusedError as refusal:
        raise UserError(f"the cluster refused to roll {name} out: {refusal}") from refusal
    return began


def roll_back(api: Api, namespace: str) -> list[str]:
    """Give each owner in a namespace that bears the mark its image again; gives back their names.

    Raises:
        UserError: the API server said no.
    """
    done = []
    try:
        marked = [
            (kind, thing, str(before))
            for kind in ROLLABLE
            # None where the API server does not have the kind.
            for thing in items(found(api.request, _path(namespace, kind)) or {})
            if (before := of(thing, "metadata", "annotations", IMAGE_BEFORE))
        ]
        for kind, thing, before in marked:
            containers, _ = with_image(thing["spec"]["template"], before)
            change = {
                "metadata": {
                    "annotations": {IMAGE_BEFORE: None},
                    "resourceVersion": thing["metadata"]["resourceVersion"],
                },
                "spec": {"template": {"spec": {"containers": containers}}},
            }
            api.request("patch", _path(namespace, kind, name_of(thing)), change)
            done.append(name_of(thing))
    except RefusedError as refusal:
        raise UserError(
            f"the cluster refused to give the application its image again: {refusal}"
        ) from refusal
    return done


def add_parser(commands: arguments.Commands) -> None:
    """Add ``roll-out`` and ``roll-back`` to the command line."""
    _add(commands, "roll-out", run_out)
    parser = _add(commands, "roll-back", run_back)
    parser.set_defaults(image="")


def _add(
    commands: arguments.Commands, name: str, run: Callable[[argparse.Namespace], Answer]
) -> argparse.ArgumentParser:
    parser = arguments.command(commands, name, run)
    parser.add_argument("--namespace", required=True)
    if name == "roll-out":
        parser.add_argument("owners", nargs="+", type=owner, metavar="KIND/NAME")
        parser.add_argument("--image", default="", help="another one; default: the same, started anew")
    arguments.add_cluster(parser)
    return parser


def run_out(options: argparse.Namespace) -> Answer:
    """Have the owners of pods replace them, each by its own strategy.

    Starts a rollout of each, of the same image or of another, and does not wait for it. Prints, as JSON, when
    the first began, in seconds since 1970.
    """
    api = Api(options.context, options.kubeconfig)
    began = [roll_out(api, options.namespace, kind, name, options.image) for kind, name in options.owners]
    data = {"began": min(began)}
    print(json.dumps(data))
    return Answer(data, changed=True)


def run_back(options: argparse.Namespace) -> Answer:
    """Give owners of pods the image again that they had before ``roll-out``.

    Goes by what was written on them then, and prints their names, a line each.
    """
    done = roll_back(Api(options.context, options.kubeconfig), options.namespace)
    for name in done:
        print(name)
    return Answer({"owners": done}, changed=bool(done))
