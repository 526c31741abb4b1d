"""Whether the API server grants what is to be done: asked before anything is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_lab.kube.client import Request

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True)
class Right:
    """What is to be done to one kind of thing.

    Attributes:
        resource: in the plural, as in its path; ``pods/eviction`` for what is beneath one.
        verbs: as in a Role.
        namespace: empty: in the whole cluster.
        group: of its API; empty: the first one.
    """

    resource: str
    verbs: tuple[str, ...]
    namespace: str = ""
    group: str = ""

    @property
    def where(self) -> str:
        """In which namespace, as the end of a sentence."""
        return f" in {self.namespace}" if self.namespace else ""


def may(request: Request, verb: str, right: Right) -> bool:
    """Whether whoever asks may do this.

    Raises:
        RefusedError: it does not answer, or does not tell.
    """
    resource, _, beneath = right.resource.partition("/")
    what = {"verb": verb, "resource": resource, "subresource": beneath}
    what |= {"namespace": right.namespace, "group": right.group}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in what.items() if value}},
    }
    return bool(of(request("post", _REVIEWS, review), "status", "allowed", default=False))


def missing(asked: Callable[[str, Right], bool], rights: Iterable[Right]) -> str:
    """What is refused, in words; empty: nothing is, or the API server does not tell.

    Args:
        asked: whether a verb is granted; as ``may``.
        rights: that are needed.

    Raises:
        RefusedError: it does not answer.
    """

    def refused(verb: str, right: Right) -> bool:
        try:
            return not asked(verb, right)
        except RefusedError as error:
            if error.passing:
                raise
            # One that does not tell what it grants may grant all of it.
            return False

    found = [(right, [verb for verb in right.verbs if refused(verb, right)]) for right in rights]
    return "; ".join(f"{', '.join(verbs)} {right.resource}{right.where}" for right, verbs in found if verbs)
