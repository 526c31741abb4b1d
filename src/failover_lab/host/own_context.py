"""``own-context``: is a kubectl context the lab's, or somebody else's of the same name?

minikube writes context, cluster and user of a profile's name into the kubeconfig whatever was there, and
takes them out of it again. They are the lab's if they lead to certificates of the lab's own minikube.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse


def entry(content: Any, kind: str, name: str) -> dict[str, Any] | None:  # noqa: ANN401 - whatever a file holds
    """A context, cluster or user of a kubeconfig; None if it has none of that name."""
    found = content.get(f"{kind}s") if isinstance(content, dict) else None
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict) and one.get("name") == name:
            inner = one.get(kind)
            return inner if isinstance(inner, dict) else {}
    return None


def is_minikubes(found: dict[str, Any], key: str, folder: Path, home: Path, certificates: list[Path]) -> bool:
    """Whether a certificate is one that this minikube has made.

    Args:
        found: a cluster or a user.
        key: under which it names the certificate's file, or with ``-data`` its content.
        folder: of the kubeconfig, from which a relative path is meant.
        home: of minikube.
        certificates: whose content it may be.
    """
    if path := found.get(key):
        return (folder / str(path)).resolve().is_relative_to(home.resolve())
    try:
        data = base64.b64decode(str(found.get(f"{key}-data", "")))
    except binascii.Error:
        return False
    known = [path.read_bytes().strip() for path in certificates if path.is_file()]
    return bool(data) and data.strip() in known


def stranger(kubeconfig: Path, profile: str, home: Path) -> str:
    """What has the profile's name in a kubeconfig and is not the lab's, such as ``context``; or nothing.

    A file that is not there, or damaged, has nothing: whoever writes to it says so.
    """
    import yaml  # noqa: PLC0415 - nothing else here needs it

    try:
        content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    folder = kubeconfig.parent
    context = entry(content, "context", profile)
    if context is not None and (context.get("cluster"), context.get("user")) != (profile, profile):
        return "context"
    for kind, key, certificates in (
        ("cluster", "certificate-authority", [home / "ca.crt"]),
        ("user", "client-certificate", [home / "profiles" / profile / "client.crt"]),
    ):
        found = entry(content, kind, profile)
        if found is not None and not is_minikubes(found, key, folder, home, certificates):
            return kind if context is None else "context"
    return ""


def add_parser(commands: arguments.Commands) -> None:
    """Add ``own-context`` to the command line."""
    parser = arguments.command(commands, "own-context", run)
    parser.add_argument(
        "--profile", required=True, help="the minikube profile, after which the context is called"
    )
    parser.add_argument("--kubeconfig", required=True, type=Path)
    parser.add_argument("--minikube-home", required=True, type=Path, help="where minikube keeps the profile")


def run(options: argparse.Namespace) -> Answer:
    """Check that a kubectl context is the lab's, if there is one of its name.

    Status 2 and a sentence if the kubeconfig has a context, cluster or user of the profile's name that
    does not lead to the lab's own minikube.

    Raises:
        UserError: it is somebody else's.
    """
    if kind := stranger(options.kubeconfig, options.profile, options.minikube_home):
        raise UserError(
            f"The {kind} {options.profile} in {options.kubeconfig} is not the lab's, and making the lab "
            "would write over it: choose another lab_profile, or rename it (`kubectl config "
            "rename-context`). To use that cluster as it is, give cluster_provider=existing."
        )
    return Answer()
