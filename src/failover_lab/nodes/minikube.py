"""How minikube calls and marks what it makes, and whose it is."""

from __future__ import annotations

import re
from collections.abc import Collection

# minikube's mark on all that it makes, of whatever profile.
MARK = "created_by.minikube.sigs.k8s.io"
# Where minikube could make no network of its own, and where a container says of none.
_NOBODYS_NETWORKS = {"bridge", "host", "none"}


def node_name(profile: str) -> re.Pattern[str]:
    """What minikube calls the nodes of a profile: the first like it, others with a number of two digits."""
    return re.compile(rf"{re.escape(profile)}(-m[0-9]{{2,}})?")


def of_profile(profile: str, networks: Collection[str]) -> bool | None:
    """Whether a container that minikube has made is a node of a profile, by the networks that it is on.

    Its labels carry no profile, and ``team-m02`` may be a node of ``team`` or a lab of its own. But each
    profile has a network that is called like it. None: they do not say.
    """
    return True if profile in networks else False if set(networks) - _NOBODYS_NETWORKS else None
