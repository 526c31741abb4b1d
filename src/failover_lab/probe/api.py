"""``ask-api``: the cluster's own API, read and written while a run goes on, by the probe that asks the site.

Each request has a connection of its own: none hangs on one that led to a node which is gone. A write is one
to the store's disk each time, though the request is always the same: it exchanges two texts of a ConfigMap.
A read is what controllers and kubelets do: of what the API server has in memory, without asking the store.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.kube.client import Api
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import LAB, MANAGED_BY
from failover_lab.run import files
from failover_lab.run.layout import READS, WRITES, Run
from failover_lab.run.lifetime import StopCondition

if TYPE_CHECKING:
    import argparse

    from failover_lab.kube.client import Credentials

NAME = "failover-lab-api"
# Requests a second. A handshake of TLS costs either side some milliseconds.
RATES = {READS: 10, WRITES: 5}
_EXCHANGE = [
    {"op": "move", "from": "/data/one", "path": "/data/between"},
    {"op": "move", "from": "/data/other", "path": "/data/one"},
    {"op": "move", "from": "/data/between", "path": "/data/other"},
]
# Whoever asks the API gives up soon and asks again.
_CONNECT_S, _READ_S = 1, 3
_LOOK_EVERY_S = 0.2
# More than the two together: what is under way is waited for.
_END_S = 6.0


def add_parser(commands: arguments.Commands) -> None:
    """Add ``ask-api`` to the command line."""
    parser = arguments.command(commands, "ask-api", run)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the run's directory")
    parser.add_argument("--namespace", default="site", help="where the ConfigMap is written (default site)")
    arguments.add_cluster(parser)
    arguments.add_lifetime(parser)


def _options(kind: str, url: str) -> list[str]:
    """What is asked at an address, and how."""
    if kind == READS:
        return [f"{url}?resourceVersion=0", "--expect-status=200"]
    return [
        url,
        "--method=PATCH",
        "--header=Content-Type: application/json-patch+json",
        f"--body={json.dumps(_EXCHANGE)}",
        "--expect-status=200",
    ]


def _known_by(credentials: Credentials) -> list[str]:
    """The options by which the API server is known, and the user there.

    Raises:
        UserError: the user is known by what no file holds.
    """
    if credentials.certificate is None:
        raise UserError(
            "the context's user has no certificate, and the API is asked with one alone: it is not measured"
        )
    trust = ["--insecure"] if credentials.insecure else [f"--ca={credentials.ca}"] if credentials.ca else []
    key = [f"--key={credentials.key}"] if credentials.key else []
    return [*trust, f"--cert={credentials.certificate}", *key]


class _Asking:
    """The two that ask; each is a process, so that neither delays the other."""

    def __init__(self, api: Api, run: Run, path: str) -> None:
        known = _known_by(api.credentials)
        self._children: dict[str, subprocess.Popen[str]] = {}
        for kind, rate in RATES.items():
            out = run.api_probe(kind).directory
            out.mkdir(parents=True, exist_ok=True)
            # All of a run have one clock.
            if run.clock.exists():
                shutil.copyfile(run.clock, Run(out).clock)
            argv = [
                *(sys.executable, "-m", "failover_lab", "probe"),
                *(f"--out={out}", f"--rate={rate}", "--connections=new", "--identity=none"),
                *(f"--connect-timeout={_CONNECT_S}", f"--read-timeout={_READ_S}"),
                *(f"--parent-pid={os.getpid()}", *_options(kind, f"{api.url.rstrip('/')}{path}"), *known),
            ]
            self._children[kind] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )

    def check(self) -> None:
        """Complain if one could not go on."""
        for kind, child in self._children.items():
            if child.poll() is not None:
                said = (child.stdout.read() if child.stdout else "").strip().splitlines()
                raise UserError(f"the {kind} of the API broke off: {said[-1] if said else 'without a word'}")

    def end(self) -> None:
        """Let them end in good order."""
        for child in self._children.values():
            child.terminate()
        until = time.monotonic() + _END_S
        for child in self._children.values():
            try:
                child.communicate(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()


def run(options: argparse.Namespace) -> Answer:
    """Ask the cluster's own API while a run goes on.

    Reads a ConfigMap ten times a second and writes it five times, each by a connection of its own, and
    records each request in the run's directory. The ConfigMap is made for it and removed at the end. Runs
    until SIGTERM, SIGINT, the stop file, the end of the parent, or --max-duration.

    Raises:
        UserError: the API refuses, or is not to be asked by a certificate.
    """
    stop = StopCondition.told(options)
    known = Run(options.out)
    files.make_directory(options.out, "--out")
    _tell(known, "asking")
    try:
        _ask(Api(options.context, options.kubeconfig), known, options.namespace, stop)
    except UserError as error:
        # Beside a play nobody reads what it prints; the report reads this.
        _tell(known, "ended", str(error))
        raise
    _tell(known, "ended")
    print(f"stopped: {stop.reason()}")
    return Answer({"reason": stop.reason()}, changed=True)


def _ask(api: Api, known: Run, namespace: str, stop: StopCondition) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    asking = None
    try:
        _make(api, maps)
        asking = _Asking(api, known, f"{maps}/{NAME}")
        while stop.reason() is None:
            asking.check()
            time.sleep(_LOOK_EVERY_S)
    finally:
        if asking is not None:
            asking.end()
        # Where the API is away for good, it goes with the cluster.
        with contextlib.suppress(RefusedError):
            api.request("delete", f"{maps}/{NAME}")


def _tell(known: Run, state: str, trouble: str = "") -> None:
    with contextlib.suppress(OSError):
        files.write_json(known.api_asker, {"pid": os.getpid(), "state": state, "trouble": trouble})


def _make(api: Api, maps: str) -> None:
    """Make what is read and written; one that a run before left behind serves as well.

    Raises:
        UserError: the API refuses.
    """
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "labels": {MANAGED_BY: LAB}},
        "data": {"one": "1", "other": "2"},
    }
    try:
        api.request("post", maps, body)
    except RefusedError as refusal:
        if refusal.status != 409:
            raise UserError(f"the API refuses what it is to be asked with: {refusal}") from refusal
