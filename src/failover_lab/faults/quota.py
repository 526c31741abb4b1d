"""Would a namespace let a replacement in: by its limits, and by its quotas, which count a pod that goes?"""

from __future__ import annotations

from failover_lab.faults import claims
from failover_lab.kube.objects import Object, name_of, of, title
from failover_lab.kube.quantity import amount
from failover_lab.kube.selectors import selects

_PODS = ("pods", "count/pods")
# Each container has to say how much of these it wants, where they are counted.
_TO_BE_SAID = ("cpu", "memory")


def counted(quota: Object, pod: Object) -> bool:
    """Whether a quota counts this pod, by its scopes."""
    has = {
        "Terminating": of(pod, "spec", "activeDeadlineSeconds") is not None,
        "NotTerminating": of(pod, "spec", "activeDeadlineSeconds") is None,
        "BestEffort": of(pod, "status", "qosClass") == "BestEffort",
        "NotBestEffort": of(pod, "status", "qosClass") != "BestEffort",
        "CrossNamespacePodAffinity": _reaches_out(pod),
    }
    scopes = [{"scopeName": name, "operator": "Exists"} for name in of(quota, "spec", "scopes", default=[])]
    for rule in scopes + of(quota, "spec", "scopeSelector", "matchExpressions", default=[]):
        name = rule["scopeName"]
        if name == "PriorityClass":
            own = of(pod, "spec", "priorityClassName")
            labels = {name: str(own)} if own else {}
            if not selects({"matchExpressions": [rule | {"key": name}]}, labels):
                return False
        elif not has.get(name, True):
            return False
    return True


def _reaches_out(pod: Object) -> bool:
    """Whether a pod's affinity to other pods looks into other namespaces."""
    terms: list[Object] = []
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = of(pod, "spec", "affinity", kind, default={})
        terms += rules.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        weighed = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or []
        terms += [of(rule, "podAffinityTerm", default={}) for rule in weighed]
    return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms)


def usage(pod: Object) -> claims.Amounts:
    """What a pod counts for, by the names that quotas have."""
    requested, limits = claims.requested(pod), claims.limits(pod)
    return (
        dict.fromkeys(_PODS, 1)
        | requested
        | {f"requests.{name}": value for name, value in requested.items()}
        | {f"limits.{name}": value for name, value in limits.items()}
    )


def lacks(quota: Object, pod: Object, count: int) -> list[str]:
    """What a quota has too little of for so many replacements, each with its figures."""
    if not counted(quota, pod):
        return []
    wants = usage(pod)
    used = of(quota, "status", "used", default={})
    hard = of(quota, "status", "hard") or of(quota, "spec", "hard", default={})
    return [
        f"{name}: {used.get(name, '0')} used of {most}"
        for name, most in hard.items()
        if wants.get(name) and amount(used.get(name, "0")) + count * wants[name] > amount(most)
    ]


def unsaid(quota: Object, pod: Object, limit_ranges: list[Object]) -> list[str]:
    """What a quota counts and a container does not say, for which a replacement would be refused."""
    if not counted(quota, pod):
        return []
    result = []
    for name in of(quota, "spec", "hard", default={}):
        kind, _, resource = name.rpartition(".")
        kind = kind or "requests"
        if (
            resource not in _TO_BE_SAID
            or kind not in ("requests", "limits")
            or _given(kind, resource, limit_ranges)
        ):
            continue
        if resource in of(pod, "spec", "resources", kind, default={}):
            continue
        containers = [
            *of(pod, "spec", "containers", default=[]),
            *of(pod, "spec", "initContainers", default=[]),
        ]
        if any(resource not in of(container, "resources", kind, default={}) for container in containers):
            result.append(name)
    return result


def _given(kind: str, resource: str, limit_ranges: list[Object]) -> bool:
    """Whether the namespace gives a container what it does not say itself."""
    keys = ("default",) if kind == "limits" else ("defaultRequest", "default")
    return any(
        resource in (item.get(key) or {})
        for limit_range in limit_ranges
        for item in of(limit_range, "spec", "limits", default=[])
        if item.get("type") == "Container"
        for key in keys
    )


def beyond(limit_range: Object, pod: Object) -> str:
    """What a LimitRange does not allow of a pod, which was there before it; empty if nothing.

    What a container does not say it is given, so that it fits.
    """
    parts = [(claims.requested(pod), claims.limits(pod), "Pod")]
    for kind in ("containers", "initContainers"):
        for container in of(pod, "spec", kind, default=[]):
            wants = [claims.amounts(of(container, "resources", key)) for key in ("requests", "limits")]
            parts.append((wants[0], wants[1], "Container"))
    for item in of(limit_range, "spec", "limits", default=[]):
        for wanted, limit, kind in parts:
            if kind != item.get("type"):
                continue
            for name, bound in (item.get("max") or {}).items():
                if max(wanted.get(name, 0), limit.get(name, 0)) > amount(bound):
                    return f"at most {bound} of {name} for each {kind.lower()}"
            for name, bound in (item.get("min") or {}).items():
                said = [part[name] for part in (wanted, limit) if name in part]
                if said and min(said) < amount(bound):
                    return f"at least {bound} of {name} for each {kind.lower()}"
    return ""


def objection(quotas: list[Object], limit_ranges: list[Object], pod: Object, count: int) -> str | None:
    """Why a replacement of this pod would be refused, with the name of what does; None if it would not."""
    for quota in quotas:
        called = title(quota)
        if missing := unsaid(quota, pod, limit_ranges):
            return (
                f"The ResourceQuota {called} counts {', '.join(missing)}, which {name_of(pod)} does not say: "
                "its replacement would be refused. Set site_resources so that it does, give the namespace a "
                "LimitRange, or remove the quota."
            )
        if short := lacks(quota, pod, count):
            whom = "a replacement" if count == 1 else f"{count} replacements"
            return (
                f"The ResourceQuota {called} has no room for {whom} ({'; '.join(short)}): while the old pod "
                "is there, a new one is refused. Raise the quota, or lower site_replicas or site_resources."
            )
    for limit_range in limit_ranges:
        if wanted := beyond(limit_range, pod):
            return (
                f"The LimitRange {title(limit_range)} wants {wanted}, and {name_of(pod)} is of before: its "
                "replacement would be refused. Change the LimitRange; or site_resources, and run "
                "`ansible-playbook setup.yml`."
            )
    return None
