"""Arguments that several modules take; plugins/doc_fragments/shared.py describes each of these groups."""

from __future__ import annotations

from typing import Any

Arguments = dict[str, dict[str, Any]]

#: Every module that asks a cluster.
REACHING: Arguments = {
    "context": {"type": "str", "required": True},
    "kubeconfig": {"type": "path"},
    "provider": {"type": "str", "choices": ["minikube", "existing"], "default": "minikube"},
}
#: Those that ask for the site.
SITE: Arguments = {name: {"type": "str", "required": True} for name in ("namespace", "deployment", "service")}
#: Those that ask for an application: a Deployment, and one Service or several.
APPLICATION: Arguments = {
    "namespace": {"type": "str", "required": True},
    "deployment": {"type": "str", "default": ""},
    "service": {"type": "list", "elements": "str", "required": True},
}
#: Those that tell what they wait for; their action plugin does that.
WAITING: Arguments = {
    "run_dir": {"type": "path"},
    "waits_for": {"type": "str"},
    "interval_s": {"type": "float", "default": 5.0},
}
#: Those of them that wait for the cluster.
WATCHING: Arguments = {"timeout_s": {"type": "int", "default": 180}, **WAITING}
#: Those that are told what the container engine says.
ENGINE: Arguments = {"engine": {"type": "list", "elements": "dict", "default": []}}
