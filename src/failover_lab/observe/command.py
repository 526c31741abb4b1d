"""``observe``: the observer as a command."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.kube.application import names_of
from failover_lab.kube.client import Api
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.leaders import LEASES
from failover_lab.kube.objects import of
from failover_lab.run import files, instants
from failover_lab.run.layout import Run
from failover_lab.run.lifetime import StopCondition

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from failover_lab.kube.objects import Object
    from failover_lab.observe.resources import Resource
    from failover_lab.observe.watch import Watch

_OF = "kubernetes.io/service-name"
_LOOK_EVERY_S = 0.2
_STATUS_EVERY_S = 0.5


def add_parser(commands: arguments.Commands) -> None:
    """Add ``observe`` to the command line."""
    parser = arguments.command(commands, "observe", run)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the run's directory")
    parser.add_argument("--namespace", default="site", help="where the site lives (default site)")
    parser.add_argument(
        "--service",
        type=arguments.names,
        default=["site"],
        metavar="A,B",
        help="the site's Service, or several (default site)",
    )
    parser.add_argument("--address", metavar="IP", help="the Service's address, on a network of this machine")
    parser.add_argument("--leaders", action="store_true", help="watch who leads in the control plane, too")
    arguments.add_cluster(parser)
    arguments.add_lifetime(parser)


def resources(
    api: Api,
    namespace: str,
    services: Sequence[str] | str,
    nodes: dict[str, str] | None = None,
    selectors: Sequence[dict[str, str]] = (),
    *,
    leaders: bool = False,
) -> list[Resource]:
    """Everything that is watched.

    Args:
        api: of the cluster.
        namespace: the site's.
        services: the site's; another one's endpoints are not the site's.
        nodes: is kept filled with the nodes' own addresses, by their names.
        selectors: of the Services; a pod that none of them means is not the site's. None at all: each pod is.
        leaders: who leads in the control plane as well.
    """
    from functools import partial  # noqa: PLC0415

    from failover_lab.observe import resources as r  # noqa: PLC0415

    def node(obj: Object) -> Object:
        facts = r.node(obj)
        if nodes is not None and facts["address"]:
            nodes[obj["metadata"]["name"]] = facts["address"]
        return facts

    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    names = names_of(services)
    mine = f"{_OF} in ({','.join(names)})" if len(names) > 1 else f"{_OF}={names[0]}"
    announcements = "/apis/metallb.io/v1beta1/servicel2statuses"
    leading = r.Resource(r.LEADER, partial(api.open, "get", LEASES), r.leader, optional=True)
    return [
        *([leading] if leaders else []),
        r.Resource(r.NODE, partial(api.open, "get", "/api/v1/nodes"), node),
        r.Resource(r.LEASE, partial(api.open, "get", leases), r.lease, optional=True),
        r.Resource(r.SLICE, partial(api.open, "get", slices, labelSelector=mine), r.endpoint_slice),
        r.Resource(
            r.POD, partial(api.open, "get", f"/api/v1/namespaces/{namespace}/pods"), r.pod_of(selectors)
        ),
        r.Resource(r.EVENT, partial(api.open, "get", "/api/v1/events"), r.event(namespace), optional=True),
        r.Resource(
            r.ANNOUNCEMENT,
            partial(api.open, "get", announcements),
            r.announcement(namespace, names),
            optional=True,
        ),
    ]


def selectors_of(api: Api, namespace: str, services: Sequence[str]) -> list[dict[str, str]]:
    """What Services mean by their selectors; nothing where one of them does not say."""
    try:
        found = [api.request("get", f"/api/v1/namespaces/{namespace}/services/{name}") for name in services]
    except RefusedError:
        return []
    selectors = [of(service, "spec", "selector", default={}) for service in found]
    return selectors if all(selectors) else []


def observe(
    out: Path,
    watched: list[Resource],
    stop: StopCondition,
    *,
    address: str | None = None,
    nodes: Mapping[str, str] | None = None,
) -> int:
    """Watch until it is time to stop; gives back how many changes were written.

    Args:
        out: the run's directory.
        watched: of the cluster.
        stop: when it is time.
        address: the Service's, to be followed in this machine's own table; None: not to be followed.
        nodes: their own addresses, by their names.

    Raises:
        UserError: the log cannot be written.
    """
    from failover_lab.observe.log import EventLog  # noqa: PLC0415
    from failover_lab.observe.neighbour import Neighbour  # noqa: PLC0415
    from failover_lab.observe.watch import Watch  # noqa: PLC0415

    clock = instants.shared_clock(out)
    log = EventLog(out, clock)
    stopping = threading.Event()
    watches = [Watch(resource, log, stopping) for resource in watched]
    threads: list[Watch | Neighbour] = [*watches]
    if address is not None:
        threads.append(Neighbour(address, {} if nodes is None else nodes, log, stopping))
    for thread in threads:
        thread.start()
    next_status = 0.0
    try:
        while stop.reason() is None:
            log.check()
            if dead := [thread.name for thread in threads if not thread.is_alive()]:
                raise UserError(f"{', '.join(dead)} broke down; what it would have seen is missing")
            if time.monotonic() >= next_status:
                next_status = time.monotonic() + _STATUS_EVERY_S
                _write_status(out, clock, watches, log.written, ended=False)
            stopping.wait(_LOOK_EVERY_S)
    finally:
        stopping.set()
        for thread in threads:
            thread.end()
        log.close()
        _write_status(out, clock, watches, log.written, ended=True)
    log.check()
    return log.written


def _write_status(
    out: Path, clock: instants.Clock, watches: list[Watch], written: int, *, ended: bool
) -> None:
    unsynced = [watch for watch in watches if not watch.synced.is_set()]
    waiting = sorted(watch.name.removeprefix("watch-") for watch in unsynced)
    status = {
        "updated": instants.text(clock.now()),
        "pid": os.getpid(),
        "state": "ended" if ended else "listing" if waiting else "watching",
        "not_listed_yet": waiting,
        "changes": written,
        "interruptions": sum(watch.interruptions for watch in watches),
        # Why something is not listed, or why the observer gave up.
        "trouble": next((watch.trouble for watch in unsynced if watch.trouble), None),
    }
    # Whoever waits for it says that it was not heard of; what the cluster says is written down all the same.
    with contextlib.suppress(OSError):
        files.write_json(Run(out).observer, status)


def run(options: argparse.Namespace) -> Answer:
    """Write down what the cluster says about itself.

    Watches Nodes, their Leases, the namespace's Pods, the Service's EndpointSlices, Events and MetalLB's
    status, and appends each change to events.jsonl; with --address also to which node this machine's own
    kernel sends what is for the Service. In observer.json the state is `watching` once everything is
    listed. Runs until SIGTERM, SIGINT, the stop file, the end of the parent, or --max-duration.
    """
    stop = StopCondition.told(options)
    files.make_directory(options.out, "--out")
    try:
        api = Api(options.context, options.kubeconfig)
        nodes: dict[str, str] = {}
        selectors = selectors_of(api, options.namespace, options.service)
        watched = resources(
            api, options.namespace, options.service, nodes, selectors, leaders=options.leaders
        )
        written = observe(options.out, watched, stop, address=options.address, nodes=nodes)
    except UserError as error:
        # Beside a play nobody reads what it prints; who waits for it reads this.
        with contextlib.suppress(OSError):
            files.write_json(Run(options.out).observer, {"state": "ended", "trouble": str(error)})
        raise
    print(f"{written} changes written; stopped: {stop.reason()}")
    return Answer({"changes": written, "reason": stop.reason()}, changed=True)
