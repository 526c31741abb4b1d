"""Whatever the roles apply to a cluster is what its version of Kubernetes accepts, with no unknown field.

Own kinds of MetalLB are judged by the definitions in its manifest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml
from tests import role_variables
from tests.documents import load
from tests.pinned import PINS

from failover_lab.application import image, profile

pytestmark = pytest.mark.usefixtures("lookups")

REPO = Path(__file__).resolve().parents[2]
MODULES = REPO / "roles" / "toolchain" / "files" / "modules"
IMAGE = f"registry.example.org/team/site@sha256:{'0' * 64}"
CONFIG = role_variables.templated("site", "{{ __site_image_config }}")
# What a play knows and a file does not.
GIVEN = {
    "ansible_check_mode": False,
    "ansible_facts": {"architecture": "x86_64"},
    "omit": None,
    "item": "lab-m02",
    "fault_plan": {"node": "lab-m02"},
    "toolchain_flannel_image": "ghcr.io/flannel-io/flannel:v0.27.4",
    "load_balancer_pool": "192.168.49.200-192.168.49.250",
    "site_image": IMAGE,
    "__site_application": {"data": dataclasses.asdict(profile.choose(image.read(CONFIG), profile.Wanted()))},
    "site_pull_registry": "registry.example.org",
    "site_pull_username": "lab",
    "site_pull_password": "secret",
}


VERSION = PINS["kubernetes"].number


def templated(role: str, value: Any, **more: Any) -> Any:
    """A value as a role would see it with its defaults and with what is given."""
    return role_variables.templated(role, value, **GIVEN | more)


def templates() -> list[Path]:
    """All templates and files of roles that are manifests."""
    found = [*REPO.glob("roles/*/templates/**/*"), *REPO.glob("roles/*/files/**/*")]
    return [
        path
        for path in found
        if path.is_file() and re.search(rb"^apiVersion:", path.read_bytes(), re.MULTILINE)
    ]


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """All tasks below a value, however deep, that apply something."""
    if isinstance(value, dict):
        if "definition" in (value.get("failover_lab.lab.k8s") or {}):
            yield value["failover_lab.lab.k8s"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from tasks(item)


def applied() -> list[tuple[Path, dict[str, Any]]]:
    """The tasks of roles and plays that apply something, each with its file."""
    paths = [*REPO.glob("roles/*/tasks/**/*.yml"), *REPO.glob("playbooks/**/*.yml")]
    return [(path, task) for path in sorted(paths) for task in tasks(load(path))]


PATCHES = [
    (path, task) for path, task in applied() if isinstance(task["definition"], dict) and "kind" in task
]
NAMES = [f"{path.relative_to(REPO / 'roles')}-{task['kind']}" for path, task in PATCHES]


@pytest.fixture(scope="module")
def metallb() -> Path:
    """MetalLB's manifest, out of the module that the toolchain builds it from."""
    folder = MODULES / "metallb"
    done = subprocess.run(
        [sys.executable, REPO / "tests" / "go_module.py", folder, "go.universe.tf/metallb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()) / "config" / "manifests" / "metallb-native.yaml"


@pytest.fixture(scope="module")
def installed(metallb: Path, lookups: None) -> list[dict[str, Any]]:
    """What the role applies of it."""
    found: list[dict[str, Any]] = templated(
        "load_balancer", "{{ __load_balancer_documents }}", load_balancer_manifest=str(metallb)
    )
    return found


def documents(path: Path) -> list[dict[str, Any]]:
    role = path.relative_to(REPO / "roles").parts[0]
    return list(yaml.safe_load_all(str(templated(role, path.read_text(encoding="utf-8")))))


def accept(document: dict[str, Any]) -> None:
    """Judge one object by the schemas of Kubernetes itself."""
    kubernetes_validate.validate(document, VERSION, strict=True)


def merged(into: Any, patch: Any) -> Any:
    """A merge patch, as RFC 7396 has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def strict(schema: Any) -> Any:
    """A schema of a custom resource that takes no unknown field."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


def own_schema(document: dict[str, Any], definitions: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema of a custom resource."""
    group, _, version = document["apiVersion"].partition("/")
    (found,) = [
        row["schema"]["openAPIV3Schema"]
        for item in definitions
        if item["kind"] == "CustomResourceDefinition"
        and item["spec"]["group"] == group
        and item["spec"]["names"]["kind"] == document["kind"]
        for row in item["spec"]["versions"]
        if row["name"] == version and row["served"]
    ]
    schema: dict[str, Any] = strict(found)
    # The schema leaves it to Kubernetes what metadata are.
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def own_kinds() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = templated("load_balancer", "{{ __load_balancer_pool }}")
    return found


def test_the_schemas_are_of_the_version_that_the_lab_runs() -> None:
    minor = ".".join(VERSION.split(".")[:2])
    assert minor in {".".join(version.split(".")[:2]) for version in kubernetes_validate.utils.all_versions()}


@pytest.mark.parametrize("path", templates(), ids=lambda path: str(path.relative_to(REPO / "roles")))
def test_templates(path: Path) -> None:
    found = documents(path)
    assert found
    for document in found:
        accept(document)


def test_metallb_is_the_one_that_is_released(metallb: Path) -> None:
    algorithm, _, digest = PINS["metallb"].checksum.partition(":")
    assert hashlib.new(algorithm, metallb.read_bytes()).hexdigest() == digest


def test_metallb(installed: list[dict[str, Any]]) -> None:
    assert {"Deployment", "DaemonSet", "CustomResourceDefinition"} <= {item["kind"] for item in installed}
    for document in installed:
        accept(document)


@pytest.mark.parametrize(
    ("facts", "file"),
    [
        ({"cluster_flannel": False}, None),
        ({"cluster_flannel": True}, "/run/flannel/subnet.env"),
        ({"cluster_flannel": False, "load_balancer_waits_for": "/run/mine"}, "/run/mine"),
    ],
    ids=["kindnet", "flannel", "set"],
)
def test_speakers_wait_only_for_a_file_that_there_will_be(
    metallb: Path, facts: dict[str, Any], file: str | None
) -> None:
    variables = {"load_balancer_manifest": str(metallb)} | facts
    found = templated("load_balancer", "{{ __load_balancer_documents }}", **variables)
    paths = {
        volume["hostPath"]["path"]
        for document in found
        for volume in document.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", [])
        if "hostPath" in volume
    }
    assert paths == ({file} if file else set())


def test_own_kinds_of_metallb(installed: list[dict[str, Any]]) -> None:
    for document in own_kinds():
        jsonschema.validate(document, own_schema(document, installed))


@pytest.mark.parametrize(("path", "task"), PATCHES, ids=NAMES)
def test_patches(path: Path, task: dict[str, Any]) -> None:
    role = path.relative_to(REPO / "roles").parts[0]
    bare: dict[str, Any] = {"selector": {}, "template": {"metadata": {}, "spec": {}}}
    known = {
        "Deployment": documents(REPO / "roles/site/templates/deployment.yaml.j2")[0],
        # kubeadm's kube-proxy: what is there already is its affair.
        "DaemonSet": {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "any"},
            "spec": bare,
        },
    }
    patched = known.get(
        task["kind"], {"apiVersion": task["api_version"], "kind": task["kind"], "metadata": {"name": "any"}}
    )
    definition = templated(role, task["definition"])
    assert definition
    accept(merged(patched, definition))


def test_nothing_else_is_applied() -> None:
    from_templates = {path.name for path in templates()}
    whole = {str(task["definition"]) for path, task in applied() if (path, task) not in PATCHES}
    # By what a definition is made from, it is known which of the tests above has judged it.
    for definition in whole:
        named = set(re.findall(r"[a-z-]+\.yaml\.j2", definition))
        assert named <= from_templates
        assert named or definition in {
            "{{ query('ansible.builtin.template', *__site_files) | map('from_yaml') }}",
            "{{ __load_balancer_documents }}",
            "{{ __load_balancer_pool }}",
        }, f"nobody judges {definition}"
    assert set(load(REPO / "roles/site/vars/main.yml")["__site_ground"]) <= from_templates


def test_a_slip_is_found(installed: list[dict[str, Any]]) -> None:
    deployment = documents(REPO / "roles/site/templates/deployment.yaml.j2")[0]
    slips: list[dict[str, Any]] = [{"replica": 3}, {"replicas": "3"}, {"template": None}]
    for slip in slips:
        with pytest.raises(kubernetes_validate.ValidationError):
            accept(merged(deployment, {"spec": slip}))
    pool = own_kinds()[0]
    slips = [{"adresses": []}, {"addresses": "a"}, {"addresses": None}]
    for slip in slips:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(merged(pool, {"spec": slip}), own_schema(pool, installed))
