"""Another configuration for the site's web server, from a ConfigMap."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .conftest import ROOT

if TYPE_CHECKING:
    from .conftest import Lab

# Where what is added goes to.
WHO = "location = /whoami {"
TEMPLATE = "/spec/template/spec"
CONTAINER = f"{TEMPLATE}/containers/0"


@contextlib.contextmanager
def configured(lab: Lab, name: str, instead: str) -> Iterator[list[dict[str, Any]]]:
    """What gives the Deployment the site's own configuration with one line changed, as a JSON patch.

    Args:
        lab: with the site.
        name: of the ConfigMap, which is gone afterwards.
        instead: what stands in the place of `WHO`.
    """
    text = (ROOT / "site" / "nginx.conf").read_text(encoding="utf-8")
    assert WHO in text
    path = lab.home / f"{name}.conf"
    path.write_text(text.replace(WHO, instead), encoding="utf-8")
    volume = {"name": name, "configMap": {"name": name}}
    mount = {"name": name, "mountPath": "/site/nginx.conf", "subPath": "nginx.conf"}
    lab.kubectl("create", "configmap", name, "--namespace=site", f"--from-file=nginx.conf={path}")
    try:
        yield [
            {"op": "add", "path": f"{TEMPLATE}/volumes/-", "value": volume},
            {"op": "add", "path": f"{CONTAINER}/volumeMounts/-", "value": mount},
        ]
    finally:
        lab.kubectl("delete", "configmap", name, "--namespace=site", "--ignore-not-found")
