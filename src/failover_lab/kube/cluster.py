"""Reading a cluster as plain objects of its API, for the modules of this collection."""

from __future__ import annotations

import json
import time
import traceback
from typing import TYPE_CHECKING, Any

from failover_lab.kube import reaching
from failover_lab.kube.selectors import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.module_utils.basic import AnsibleModule

try:
    import kubernetes
    import urllib3
    from kubernetes.dynamic import DynamicClient
except ImportError:
    kubernetes = None
    MISSING = traceback.format_exc()

REQUEST_TIMEOUT_S = 10
_NO_VERSION = "it has no version of Kubernetes"
_POLL_S = 0.25
_CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"

Object = dict[str, Any]


def of(parent: Object, *path: str, default: Any = None) -> Any:  # noqa: ANN401 - objects of the API have any shape
    """The value at this path; the default where any part of it is missing or null."""
    value: Any = parent
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


def is_ready(thing: Object) -> bool:
    """Whether a pod or node is ready and not about to go."""
    return not of(thing, "metadata", "deletionTimestamp") and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in of(thing, "status", "conditions", default=[])
    )


def is_schedulable(node: Object) -> bool:
    """Whether a pod without special tolerations could be placed on a node."""
    return (
        is_ready(node)
        and not of(node, "spec", "unschedulable", default=False)
        and not any(taint["effect"] != "PreferNoSchedule" for taint in of(node, "spec", "taints", default=[]))
    )


def address_of(service: Object) -> str:
    """The address that the load balancer has given; empty if none."""
    for ingress in of(service, "status", "loadBalancer", "ingress", default=[]):
        if address := ingress.get("ip") or ingress.get("hostname"):
            return str(address)
    return ""


def url_of(service: Object) -> str:
    """Where users find it, on its first port; empty without an address."""
    address, ports = address_of(service), of(service, "spec", "ports", default=[])
    if not address:
        return ""
    port = ports[0]["port"] if ports else 80
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"


def until(missing: Callable[[], str], timeout_s: float) -> str:
    """Look until nothing is missing; what still is at the end, and else nothing."""
    deadline = time.monotonic() + timeout_s
    while (lack := missing()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return lack


class Cluster:
    """One context of a kubeconfig. Every method but the first may raise what the client raises.

    ``kubernetes.client.ApiException``: the API server said no.
    ``urllib3.exceptions.HTTPError``: it did not answer.
    ``json.JSONDecodeError``, ``UnicodeDecodeError``, ``reaching.StrangerError``: something else did.
    """

    def __init__(self, context: str, kubeconfig: str | None) -> None:
        """Open the context; nothing is asked yet.

        Raises:
            kubernetes.config.ConfigException: there is no such context or file.
            reaching.UnreachableError: the context cannot be opened for another reason.
        """
        client = self._api = reaching.client_of(context, kubeconfig)
        # Plain requests: the client's model of the whole API takes a second to import, in every module anew.
        self._client = DynamicClient(client, discoverer=lambda *_: None)

    def _get(self, path: str, **query: str) -> Object:
        """What the API server has at a path."""
        answer = self._client.request(
            "get",
            path,
            query_params=list(query.items()),
            serialize=False,
            _request_timeout=REQUEST_TIMEOUT_S,
        )
        plain: Any = json.loads(answer.data)
        if not isinstance(plain, dict):
            raise reaching.StrangerError(_NO_VERSION if path == "/version" else f"{path} is no object")
        return plain

    def _items(self, path: str, **query: str) -> list[Object]:
        """What is in the list at a path; Go writes an empty one as null, now and then."""
        answer = self._get(path, **query)
        if "items" not in answer:
            raise reaching.StrangerError(f"{path} is no list")
        items: list[Object] = answer["items"] or []
        return items

    def _found(self, path: str) -> Object | None:
        """The same, or None where the API server knows no such thing."""
        try:
            return self._get(path)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return None
            raise

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

    def autoscalers(self, namespace: str, deployment: str) -> list[str]:
        """The names of the autoscalers of a Deployment; none where this user may not ask."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        target = {"kind": "Deployment", "name": deployment}
        return [
            str(item["metadata"]["name"])
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
        claimed = {
            of(volume, "persistentVolumeClaim", "claimName")
            for pod in pods
            for volume in of(pod, "spec", "volumes", default=[])
        } - {None}
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
        try:
            items: list[Object] = (self._found(path) or {}).get("items") or []
        except kubernetes.client.ApiException as error:
            if error.status == 403:
                return []
            raise
        return items

    def nodes(self) -> list[Object]:
        """All nodes, by name."""
        return sorted(self._items("/api/v1/nodes"), key=lambda node: str(node["metadata"]["name"]))

    def nodes_if_allowed(self) -> list[Object]:
        """All nodes, by name; none where this user may not list nodes."""
        try:
            return self.nodes()
        except kubernetes.client.ApiException as error:
            if error.status == 403:
                return []
            raise

    def pods(self) -> list[Object]:
        """Every pod of every namespace."""
        return self._items("/api/v1/pods")

    def pods_of(self, deployment: Object) -> list[Object]:
        """The pods that a Deployment selects, by name; those that are about to go as well."""
        labels = query(deployment["spec"]["selector"])
        namespace = str(deployment["metadata"]["namespace"])
        found = self._items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels)
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def warnings(self, namespace: str) -> list[Object]:
        """The warnings among a namespace's events, oldest first."""
        found = self._items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
        return sorted(found, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))

    def config_map(self, name: str, key: str) -> str:
        """One text of a ConfigMap of kube-system; empty if there is none."""
        return str(of(self._found(f"{_CONFIG_MAPS}/{name}") or {}, "data", key, default=""))

    def set_config_map(self, name: str, key: str, text: str) -> None:
        """Change it, and nothing else of the ConfigMap."""
        self._client.request(
            "patch",
            f"{_CONFIG_MAPS}/{name}",
            body={"data": {key: text}},
            content_type="application/merge-patch+json",
            _request_timeout=REQUEST_TIMEOUT_S,
        )

    def budgets(self) -> list[Object]:
        """Every disruption budget of every namespace."""
        return self._items("/apis/policy/v1/poddisruptionbudgets")

    def lease(self, node: str) -> Object | None:
        """The Lease by which a node says that it is alive, if there is one."""
        return self._found(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")

    def answers(self) -> str:
        """The version, asked for once: a silence is known after one time-out and not after four."""
        pools = self._api.rest_client.pool_manager.connection_pool_kw
        patience, pools["retries"] = pools["retries"], 0
        try:
            return self.version()
        finally:
            pools["retries"] = patience

    def version(self) -> str:
        """The API server's version."""
        try:
            return str(self._get("/version")["gitVersion"])
        except KeyError as error:
            raise reaching.StrangerError(_NO_VERSION) from error

    def announcers(self, namespace: str, service: str) -> list[str]:
        """The nodes that announce the Service, MetalLB says; of nodes that are gone, some stay."""
        found = self._found("/apis/metallb.io/v1beta1/servicel2statuses") or {}
        states = [of(item, "status", default={}) for item in of(found, "items", default=[])]
        return [
            str(state["node"])
            for state in states
            if state.get("serviceName") == service
            and state.get("serviceNamespace") == namespace
            and state.get("node")
        ]


def guarded(module: AnsibleModule, context: str, work: Callable[[], Object]) -> Object:
    """Do the work; what the cluster does not grant ends the module with one sentence that names a remedy."""
    if kubernetes is None:
        module.fail_json(msg="The Python package kubernetes is missing: run `make env`.", exception=MISSING)
    provider = str(module.params.get("provider", "minikube"))
    try:
        return work()
    except kubernetes.config.ConfigException as error:
        module.fail_json(msg=reaching.no_context(context, provider, error))
    except reaching.UnreachableError as error:
        module.fail_json(msg=str(error))
    except kubernetes.client.ApiException as error:
        module.fail_json(msg=reaching.refusal(context, provider, error))
    except (
        urllib3.exceptions.HTTPError,
        json.JSONDecodeError,
        UnicodeDecodeError,
        reaching.StrangerError,
    ) as error:
        module.fail_json(msg=reaching.silence(context, provider, error))
    return {}
