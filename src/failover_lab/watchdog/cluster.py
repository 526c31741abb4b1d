"""The few questions and requests to the API server, on connections that are kept open."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from failover_lab.kube import client
from failover_lab.kube.out_of_service import OWNER
from failover_lab.watchdog.kubelet import PORT
from failover_lab.watchdog.policy import Member

Object = dict[str, Any]

# To connect within a machine takes a millisecond, so a second is silence; a busy API server may need some to
# answer.
_TIMEOUT_S = (1.0, 3.0)
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# As many connections are kept open: a node's pods of the site, the list and the mark at the same time.
CONNECTIONS = 4


class ApiError(Exception):
    """The API server has refused, or did not answer.

    Attributes:
        status: of its answer; None: there was none.
    """

    def __init__(self, status: int | None, words: str) -> None:
        """Keep both."""
        super().__init__(words)
        self.status = status


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


class Api:
    """What the watchdog asks of a cluster. Every method raises ``ApiError`` where it is not granted.

    Args:
        send: sends ``(method, path, body)``, a patch as a merge patch, and gives back the object that came.
    """

    def __init__(self, send: Callable[[str, str, Object | None], Object]) -> None:
        """Nothing is asked yet."""
        self._send = send

    def _get(self, path: str) -> Object:
        return self._send("get", path, None)

    def nodes(self) -> list[Object]:
        """All nodes."""
        items: list[Object] = self._get("/api/v1/nodes").get("items") or []
        return items

    def node(self, name: str) -> Object | None:
        """One node; None where there is none of this name."""
        try:
            return self._get(f"/api/v1/nodes/{_quoted(name)}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def patch_node(self, name: str, change: Object) -> None:
        """Change a node by a merge patch."""
        self._send("patch", f"/api/v1/nodes/{_quoted(name)}", change)

    def leases(self) -> dict[str, str]:
        """When each node's kubelet renewed its lease last, as it wrote it."""
        items = self._get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").get("items") or []
        return {i["metadata"]["name"]: str((i.get("spec") or {}).get("renewTime") or "") for i in items}

    def pods(self, namespace: str, node: str) -> list[Object]:
        """The pods of a namespace on a node."""
        selector = urllib.parse.urlencode({"fieldSelector": f"spec.nodeName={node}"})
        items = self._get(f"/api/v1/namespaces/{_quoted(namespace)}/pods?{selector}").get("items")
        return items or []

    def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Delete this pod, and no other of its name, from the cluster's account at once."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        }
        try:
            path = f"/api/v1/namespaces/{_quoted(namespace)}/pods/{_quoted(name)}"
            self._send("delete", path, body)
        except ApiError as error:
            # Gone already, or replaced by another one.
            if error.status not in {404, 409}:
                raise

    def version(self) -> Object:
        """The API server's version: the cheapest question that goes all the way."""
        return self._get("/version")


def member(node: Object) -> Member:
    """What of a node the watchdog goes by."""
    meta = node["metadata"]
    status = node.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or PORT
    host = next((a["address"] for a in status.get("addresses") or [] if a["type"] == "InternalIP"), "")
    return Member(
        name=meta["name"],
        address=f"{host}:{port}" if host else "",
        control_plane=_CONTROL_PLANE in (meta.get("labels") or {}),
        ours=OWNER in (meta.get("annotations") or {}),
    )


def connect(kubeconfig: Path | None, context: str | None) -> Api:
    """The cluster of a context; nothing is asked yet.

    Raises:
        UserError: the configuration is missing or knows no such context.
    """
    # Who asks decides whether to ask again; several attempts in a row would hide a silence.
    server = client.Api(context, kubeconfig, timeout_s=_TIMEOUT_S, again=False)

    def send(method: str, path: str, body: Object | None) -> Object:
        try:
            return server.request(method, path, body)
        except client.RefusedError as error:
            if error.status:
                raise ApiError(error.status, f"the API server says {error.status}: {error}") from error
            raise ApiError(None, f"the API server does not answer: {error}") from error
        except (OSError, ValueError) as error:
            raise ApiError(None, f"the API server does not answer: {type(error).__name__}") from error

    return Api(send)
