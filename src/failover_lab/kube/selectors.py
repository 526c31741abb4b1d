"""Kubernetes' label selectors: which labels they mean, and how a list is asked for by one."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a selector means something with these labels; an empty one means all, none at all nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _holds(rule, labels) for rule in (selector.get("matchExpressions") or [])
    )


def _holds(rule: Object, labels: dict[str, str]) -> bool:
    key, values = rule.get("key"), rule.get("values") or []
    match rule.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    # As the API server does with one that it does not know.
    return False


def query(selector: Object) -> str:
    """The same as the parameter ``labelSelector`` of a list."""
    forms = {"In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}"}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    parts += [
        forms.get(rule["operator"], "!{key}").format(
            key=rule["key"], values=",".join(rule.get("values") or [])
        )
        for rule in (selector.get("matchExpressions") or [])
    ]
    return ",".join(parts)
