"""Everything of a lab that must be the same before and after what is to change nothing."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from .conftest import docker

if TYPE_CHECKING:
    from .conftest import Lab

_WORK = "deployments,replicasets,pods,services,poddisruptionbudgets"
_AROUND = "networkpolicies,serviceaccounts,secrets,configmaps"


def picture(lab: Lab) -> dict[str, str]:
    """By what it is of: the site's objects, the nodes, what the engine has, the files of the lab's state."""
    seen: dict[str, str] = {}
    for item in lab.get(f"{_WORK},{_AROUND}", "--namespace=site")["items"]:
        meta = item["metadata"]
        if "deletionTimestamp" in meta:
            continue
        data = json.dumps(item.get("data"), sort_keys=True)
        if item["kind"] == "Secret":
            data = hashlib.sha256(data.encode()).hexdigest()
        parts = [meta["uid"], meta.get("labels"), item.get("spec"), data]
        seen[f"{item['kind']} {meta['name']}"] = json.dumps(parts, sort_keys=True)
    for node in lab.get("nodes")["items"]:
        meta = node["metadata"]
        ours = {key: value for key, value in meta["annotations"].items() if key.startswith("failover-lab/")}
        seen[f"Node {meta['name']}"] = json.dumps([meta["labels"], ours, node["spec"]], sort_keys=True)
    own = re.compile(rf"{lab.profile}(-m[0-9]+|-registry)?")
    for kind, columns in (
        ("container", "{{.Names}} {{.ID}} {{.State}} {{.Ports}}"),
        ("network", "{{.Name}} {{.ID}}"),
        ("volume", "{{.Name}}"),
    ):
        everything = ["--all"] if kind == "container" else []
        for row in docker(kind, "ls", *everything, f"--format={columns}").splitlines():
            name, _, rest = row.partition(" ")
            if own.fullmatch(name):
                seen[f"{kind} {name}"] = rest
    images = docker("image", "ls", "--format={{.Repository}}:{{.Tag}} {{.ID}}")
    seen["images"] = "\n".join(sorted(images.splitlines()))
    for path in sorted(lab.state.rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        seen[str(path)] = f"{path.stat().st_mode:o} {content}"
    seen["reports"] = " ".join(sorted(path.name for path in lab.reports.glob("*")))
    return seen
