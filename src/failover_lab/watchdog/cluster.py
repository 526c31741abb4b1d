"""The few questions and requests to the API server, on connections that are kept open."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab.kube import client, rights
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import CONTROL_PLANE, OUT_OF_SERVICE_BY
from failover_lab.kube.objects import internal_address, name_of, of
from failover_lab.watchdog.kubelet import PORT
from failover_lab.watchdog.policy import Member

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

# To connect within a machine takes a millisecond, so a second is silence; a busy API server may need some to
# answer.
_TIMEOUT_S = (1.0, 3.0)
# As many connections are kept open: a node's pods of the site, the list and the mark at the same time.
CONNECTIONS = 4
LEASES_IN = "kube-node-lease"


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


class RestlessError(RefusedError):
    """Somebody changes a node again and again, just before it can be changed here."""

    def __init__(self, than: str) -> None:
        """What it changes faster than."""
        super().__init__(409, f"the node changes faster than {than}")

    @property
    def account(self) -> str:
        """These words are not the API server's."""
        return str(self)


class Api:
    """What the watchdog asks of a cluster. Every method raises ``RefusedError`` where it is not granted.

    Args:
        send: sends ``(method, path, body)``, a patch as a merge patch, and gives back the object that came.
    """

    def __init__(self, send: client.Request) -> None:
        """Nothing is asked yet."""
        self._send = send

    def _get(self, path: str) -> Object:
        return self._send("get", path, None)

    def nodes(self) -> list[Object]:
        """All nodes."""
        return client.items(self._get("/api/v1/nodes"))

    def node(self, name: str) -> Object | None:
        """One node; None where there is none of this name."""
        return client.found(self._send, f"/api/v1/nodes/{_quoted(name)}")

    def patch_node(self, name: str, change: Object) -> None:
        """Change a node by a merge patch."""
        self._send("patch", f"/api/v1/nodes/{_quoted(name)}", change)

    def leases(self) -> dict[str, str]:
        """When each node's kubelet renewed its lease last, as it wrote it."""
        leases = client.items(self._get(f"/apis/coordination.k8s.io/v1/namespaces/{LEASES_IN}/leases"))
        return {name_of(lease): str(of(lease, "spec", "renewTime", default="")) for lease in leases}

    def pods(self, namespace: str, node: str) -> list[Object]:
        """The pods of a namespace on a node."""
        selector = urllib.parse.urlencode({"fieldSelector": f"spec.nodeName={node}"})
        return client.items(self._get(f"/api/v1/namespaces/{_quoted(namespace)}/pods?{selector}"))

    def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Delete this pod, and no other of its name, from the cluster's account at once."""
        # One that is gone already, or was replaced by another, is deleted enough.
        client.delete_pod(self._send, _quoted(namespace), _quoted(name), uid)

    def may(self, verb: str, right: rights.Right) -> bool:
        """Whether whoever asks may do this."""
        return rights.may(self._send, verb, right)

    def version(self) -> Object:
        """The API server's version: the cheapest question that goes all the way."""
        return self._get("/version")


def member(node: Object) -> Member:
    """What of a node the watchdog goes by."""
    port = of(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port", default=PORT)
    host = internal_address(node)
    return Member(
        name=name_of(node),
        address=f"{host}:{port}" if host else "",
        control_plane=CONTROL_PLANE in of(node, "metadata", "labels", default={}),
        ours=OUT_OF_SERVICE_BY in of(node, "metadata", "annotations", default={}),
    )


def words(error: Exception) -> str:
    """What is noted of one that came in the way, the API server's or the engine's."""
    return error.account if isinstance(error, RefusedError) else str(error)


def connect(kubeconfig: Path | None, context: str | None) -> Api:
    """The cluster of a context; nothing is asked yet.

    Raises:
        UserError: the configuration is missing or knows no such context.
    """
    # Who asks decides whether to ask again; several attempts in a row would hide a silence.
    return Api(client.Api(context, kubeconfig, timeout_s=_TIMEOUT_S, again=False).request)
