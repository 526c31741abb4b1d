"""What a cluster's API has, asked by name: nodes, pods, Services and their like, as plain objects."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from failover_lab.kube import errors, rights
from failover_lab.kube.client import Api, found, items
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.leaders import LEASES, leaders_of
from failover_lab.kube.objects import claims_of, name_of, of
from failover_lab.kube.selectors import query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_lab.kube.leaders import Leader
    from failover_lab.kube.objects import Object

# A line of a log may be as long as it likes.
_LOG_BYTES = 4096
_CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"


class Cluster(Api):
    """One context of a kubeconfig. Every method may raise ``RefusedError``."""

    def _get(self, path: str, **query: str) -> Object:
        """What the API server has at a path."""
        return self.request("get", path, None, **query)

    def _items(self, path: str, **query: str) -> list[Object]:
        """What is in the list at a path; Go writes an empty one as null, now and then."""
        answer = self._get(path, **query)
        if "items" not in answer:
            raise errors.stranger(f"{path} is no list")
        return items(answer)

    def _found(self, path: str) -> Object | None:
        """The same, or None where the API server knows no such thing."""
        return found(self.request, path)

    def missing(self, needed: Iterable[rights.Right]) -> str:
        """What of it is not granted, in words; empty: nothing, or it does not tell."""
        return rights.missing(functools.partial(rights.may, self.request), needed)

    def deployment(self, namespace: str, name: str) -> Object | None:
        """One Deployment, if it exists."""
        return self.workload(namespace, "deployments", name)

    def workload(self, namespace: str, kind: str, name: str) -> Object | None:
        """One object of the group ``apps``, if it exists; its kind in the plural, as in its path."""
        return self._found(f"/apis/apps/v1/namespaces/{namespace}/{kind}/{name}")

    def service(self, namespace: str, name: str) -> Object | None:
        """One Service, if it exists."""
        return self._found(f"/api/v1/namespaces/{namespace}/services/{name}")

    def namespace(self, name: str) -> Object | None:
        """One namespace, if it exists."""
        return self._found(f"/api/v1/namespaces/{name}")

    def autoscalers(self, namespace: str, name: str, kind: str = "Deployment") -> list[str]:
        """The names of the autoscalers of a Deployment or the like; none where this user may not ask."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        target = {"kind": kind, "name": name}
        return [
            name_of(item)
            for item in self._items_if_allowed(path)
            if target.items() <= of(item, "spec", "scaleTargetRef", default={}).items()
        ]

    def quotas(self, namespace: str) -> list[Object]:
        """The quotas of a namespace; none where this user may not ask."""
        return self._items_if_allowed(f"/api/v1/namespaces/{namespace}/resourcequotas")

    def limit_ranges(self, namespace: str) -> list[Object]:
        """What a namespace gives to containers that do not say; nothing where this user may not ask."""
        return self._items_if_allowed(f"/api/v1/namespaces/{namespace}/limitranges")

    def volumes(self, namespace: str, pods: list[Object]) -> list[Object]:
        """What is behind the claims of pods of a namespace; nothing where this user may not ask."""
        claimed = claims_of(pods)
        if not claimed:
            return []
        names = {
            of(claim, "spec", "volumeName")
            for claim in self._items_if_allowed(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")
            if claim["metadata"]["name"] in claimed
        }
        return [
            volume
            for volume in self._items_if_allowed("/api/v1/persistentvolumes")
            if volume["metadata"]["name"] in names
        ]

    def _items_if_allowed(self, path: str) -> list[Object]:
        return items(self._if_allowed(path) or {})

    def _if_allowed(self, path: str) -> Object | None:
        try:
            return self._found(path)
        except RefusedError as refusal:
            if refusal.status == 403:
                return None
            raise

    def nodes(self) -> list[Object]:
        """All nodes, by name."""
        return sorted(self._items("/api/v1/nodes"), key=name_of)

    def nodes_if_allowed(self) -> list[Object]:
        """All nodes, by name; none where this user may not list nodes."""
        try:
            return self.nodes()
        except RefusedError as refusal:
            if refusal.status == 403:
                return []
            raise

    def pods(self) -> list[Object]:
        """Every pod of every namespace."""
        return self._items("/api/v1/pods")

    def pods_in(self, namespace: str) -> list[Object]:
        """Every pod of a namespace."""
        return self._items(f"/api/v1/namespaces/{namespace}/pods")

    def pods_of(self, deployment: Object) -> list[Object]:
        """The pods that a Deployment selects, by name; those that are about to go as well."""
        labels = query(deployment["spec"]["selector"])
        namespace = str(deployment["metadata"]["namespace"])
        found = self._items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels)
        return sorted(found, key=name_of)

    def warnings(self, namespace: str) -> list[Object]:
        """The warnings among a namespace's events, oldest first."""
        found = self._items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
        return sorted(found, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))

    def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """The last lines of a container's log; of the run before this one, where that is wanted.

        Args:
            namespace: the pod's.
            pod: its name.
            container: its name.
            lines: how many.
            previous: of the run that ended before this one began.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
        said = self.read("get", path, None, **query, **({"previous": "true"} if previous else {}))
        return said.decode(errors="replace")

    def config_map(self, name: str, key: str) -> str:
        """One text of a ConfigMap of kube-system; empty if there is none."""
        return str(of(self._found(f"{_CONFIG_MAPS}/{name}") or {}, "data", key, default=""))

    def config_map_if_allowed(self, namespace: str, name: str, key: str) -> str:
        """One text of a ConfigMap; empty if there is none, or this user may not read it."""
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        return str(of(self._if_allowed(path) or {}, "data", key, default=""))

    def set_config_map(self, name: str, key: str, text: str) -> None:
        """Change it, and nothing else of the ConfigMap."""
        self.request("patch", f"{_CONFIG_MAPS}/{name}", {"data": {key: text}})

    def budgets(self) -> list[Object]:
        """Every disruption budget of every namespace."""
        return self._items("/apis/policy/v1/poddisruptionbudgets")

    def lease(self, node: str) -> Object | None:
        """The Lease by which a node says that it is alive, if there is one, and this user may read it."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
        return self._if_allowed(path)

    def leaders(self) -> dict[str, Leader]:
        """Who leads in the control plane, as far as this user may see it."""
        return leaders_of(self._items_if_allowed(LEASES))

    def answers(self) -> str:
        """The version, asked for once: a silence is known after one time-out and not after four."""
        with self.once():
            return self.version()

    def version(self) -> str:
        """The API server's version."""
        try:
            return str(self._get("/version")["gitVersion"])
        except KeyError as error:
            raise errors.stranger(errors.NO_VERSION) from error

    def announcers(self, namespace: str, service: str) -> list[str]:
        """The nodes that announce the Service, MetalLB says; of nodes that are gone, some stay."""
        # Of kinds that there are not, whoever may not ask for them is told just that.
        found = self._items_if_allowed("/apis/metallb.io/v1beta1/servicel2statuses")
        states = [of(item, "status", default={}) for item in found]
        return [
            str(state["node"])
            for state in states
            if state.get("serviceName") == service
            and state.get("serviceNamespace") == namespace
            and state.get("node")
        ]
