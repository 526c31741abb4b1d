"""What a pod takes of a node, by Kubernetes' own sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from failover_lab.kube.objects import Object, condition_of, of
from failover_lab.kube.quantity import amount

Amounts = dict[str, Any]
# Those that a pod may ask for as a whole.
_OF_THE_POD = ("cpu", "memory", "hugepages-")


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _most(*parts: Amounts) -> Amounts:
    return {name: max(part.get(name, 0) for part in parts) for part in parts for name in part}


def amounts(found: Any) -> Amounts:  # noqa: ANN401 - whatever the object has there
    """The quantities in a part of an object, by name."""
    return {str(name): amount(value) for name, value in (found or {}).items()}


def _summed(pod: Object, own: Callable[[Object], Amounts]) -> Amounts:
    """Over all containers: those that run together; or, if more, an init container and its sidecars."""
    total: Amounts = {}
    for container in of(pod, "spec", "containers", default=[]):
        _add(total, own(container))
    sidecars: Amounts = {}
    beginning: Amounts = {}
    for container in of(pod, "spec", "initContainers", default=[]):
        wants = own(container)
        if container.get("restartPolicy") == "Always":
            # It stays, and those after it begin beside it.
            _add(total, wants)
            _add(sidecars, wants)
            beginning = _most(beginning, sidecars)
        else:
            together = dict(sidecars)
            _add(together, wants)
            beginning = _most(beginning, together)
    return _most(total, beginning)


def _whole(pod: Object, kind: str, total: Amounts) -> Amounts:
    """With what the pod asks for as a whole, and with what its runtime takes besides."""
    asked = amounts(of(pod, "spec", "resources", kind))
    total = total | {name: value for name, value in asked.items() if name.startswith(_OF_THE_POD)}
    overhead = amounts(of(pod, "spec", "overhead"))
    if kind == "limits":
        # What has no limit gets none by it.
        overhead = {name: value for name, value in overhead.items() if total.get(name)}
    _add(total, overhead)
    return total


def requested(pod: Object) -> Amounts:
    """What a new pod with this spec asks for."""
    return _whole(pod, "requests", _summed(pod, lambda one: amounts(of(one, "resources", "requests"))))


def limits(pod: Object) -> Amounts:
    """What it may take at most."""
    return _whole(pod, "limits", _summed(pod, lambda one: amounts(of(one, "resources", "limits"))))


def taken(pod: Object) -> Amounts:
    """What is set aside for a pod that is there; for one that is being resized, the most of its sizes."""
    states = {
        str(state.get("name")): state
        for kind in ("containerStatuses", "initContainerStatuses")
        for state in of(pod, "status", kind, default=[])
    }

    def allocated(container: Object) -> Amounts:
        state = states.get(str(container.get("name")), {})
        found = state.get("allocatedResources") or of(container, "resources", "requests")
        return amounts(found)

    def in_force(container: Object) -> Amounts:
        state = states.get(str(container.get("name")), {})
        found = of(state, "resources", "requests")
        return amounts(found) if found else allocated(container)

    parts = [_summed(pod, allocated), _summed(pod, in_force)]
    if not _infeasible(pod):
        parts.append(_summed(pod, lambda one: amounts(of(one, "resources", "requests"))))
    return _whole(pod, "requests", _most(*parts))


def _infeasible(pod: Object) -> bool:
    """Whether a resize was asked for that its node can never grant: it is as if it had not been."""
    return bool(condition_of(pod, "PodResizePending").get("reason") == "Infeasible")
