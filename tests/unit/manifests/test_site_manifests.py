"""Every template of the role `site`, with its defaults and other settings, is what Kubernetes accepts."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils.apply import (  # type: ignore[import-untyped]
    annotate,
    apply_patch,
)
from tests.pinned import PINS
from tests.role_variables import templated

from failover_lab.application import image, profile

ROLE = Path(__file__).resolve().parents[3] / "roles/site"
TEMPLATES = sorted(path.name for path in (ROLE / "templates").glob("*.j2"))
IMAGE = f"reg.example:5000/team/site@sha256:{'0' * 64}"
CONFIG = templated("site", "{{ __site_image_config }}")


def run_as(config: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    """What the role knows of an application once it has asked how to run it."""
    chosen = profile.choose(image.read(config), profile.Wanted(**wanted))
    return {"__site_application": {"data": dataclasses.asdict(chosen)}}


GIVEN = {"site_image": IMAGE, "ansible_check_mode": False, "omit": None} | run_as(CONFIG)
AS_ROOT = run_as({"ExposedPorts": {"80/tcp": {}}}, writable=["/data"])
COMMAND = {"site_command": ["sh", "-c"], "site_args": ["exit 0"], "site_env": {"MODE": "quiet", "N": 1}}
LOGIN = {
    "site_pull_registry": "reg.example:5000",
    "site_pull_username": "lab",
    "site_pull_password": 'a"b: {c}',
}
NEAREST_VERSION = PINS["kubernetes"].number.rpartition(".")[0]


def render(name: str, **settings: Any) -> dict[str, Any]:
    text = templated("site", (ROLE / "templates" / name).read_text(), **GIVEN | settings)
    return dict(yaml.safe_load(str(text)))


def problems(**settings: Any) -> list[str]:
    found = templated("site", "{{ __site_problems + __site_lacks }}", **GIVEN | settings)
    return [str(item["remedy"]) for item in found]


def test_all_templates_are_applied() -> None:
    ground = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__site_ground"]
    assert sorted([*ground, "pull-secret.yaml.j2", "deployment.yaml.j2"]) == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    "settings",
    [{}, LOGIN, {"site_prestop_s": "0", "site_replicas": "6", "site_port": "8080"}, AS_ROOT, COMMAND],
)
def test_valid(name: str, settings: dict[str, Any]) -> None:
    kubernetes_validate.validate(render(name, **settings), NEAREST_VERSION, strict=True)


def test_what_an_image_needs_is_in_each_manifest() -> None:
    pod = render("deployment.yaml.j2", **AS_ROOT | COMMAND)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["ports"][0]["containerPort"] == 80
    assert container["readinessProbe"]["tcpSocket"] == {"port": "http"}
    assert "runAsNonRoot" not in pod["securityContext"]
    assert (container["command"], container["args"]) == (["sh", "-c"], ["exit 0"])
    assert {"name": "N", "value": "1"} in container["env"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/data"]
    assert len(pod["volumes"]) == 1
    namespace = render("namespace.yaml.j2", **AS_ROOT)["metadata"]["labels"]
    assert namespace["pod-security.kubernetes.io/enforce"] == "baseline"
    assert render("networkpolicy-allow.yaml.j2", **AS_ROOT)["spec"]["ingress"][0]["ports"][0]["port"] == 80


def test_the_labs_own_site_is_run_as_ever() -> None:
    pod = render("deployment.yaml.j2")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["ports"][0]["containerPort"] == 8080
    assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (
        render("namespace.yaml.j2")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )


def test_its_dockerfile_says_what_the_role_takes_for_granted() -> None:
    said = (ROLE.parents[1] / "site/Dockerfile").read_text()
    labels = dict(re.findall(r"(failover-lab\.[a-z-]+)=(\S+)", said))
    assert labels == CONFIG["Labels"]
    assert re.findall(r"^EXPOSE (\S+)$", said, re.MULTILINE) == ["8080"]
    assert f"USER {CONFIG['User']}\n" in said


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
@pytest.mark.parametrize(
    ("affinity", "config"), [("None", None), ("ClientIP", {"clientIP": {"timeoutSeconds": 10800}})]
)
def test_how_traffic_is_passed_on(policy: str, affinity: str, config: Any) -> None:
    settings = {"site_external_traffic_policy": policy, "site_session_affinity": affinity}
    found = render("service.yaml.j2", **settings)
    assert found["spec"]["externalTrafficPolicy"] == policy
    assert (found["spec"]["sessionAffinity"], found["spec"]["sessionAffinityConfig"]) == (affinity, config)
    kubernetes_validate.validate(found, NEAREST_VERSION, strict=True)


@pytest.mark.parametrize(("zones", "keys"), [("1", []), ("3", ["topology.kubernetes.io/zone"])])
def test_spread_over_zones_and_then_over_nodes(zones: str, keys: list[str]) -> None:
    found = render("deployment.yaml.j2", site_zones=zones)
    rules = found["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [rule["topologyKey"] for rule in rules] == [*keys, "kubernetes.io/hostname"]
    # Zones of different sizes cannot be even in both ways.
    strict = [rule["topologyKey"] for rule in rules if rule["whenUnsatisfiable"] == "DoNotSchedule"]
    assert strict == (keys or ["kubernetes.io/hostname"])
    kubernetes_validate.validate(found, NEAREST_VERSION, strict=True)


def taken_back(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The patch with which an object comes back to its manifest, to whose spec somebody has added this."""
    manifest = render(name)
    mark = annotate(manifest)["metadata"]["annotations"]
    actual = copy.deepcopy(manifest)
    actual["metadata"]["annotations"] = {**(manifest["metadata"].get("annotations") or {}), **mark}
    actual["spec"] = {key: value for key, value in actual["spec"].items() if value is not None} | spec
    return dict(apply_patch(actual, manifest)[1].get("spec", {}))


@pytest.mark.parametrize(
    ("name", "changed", "back"),
    [
        ("service.yaml.j2", {"sessionAffinity": "ClientIP"}, "None"),
        ("service.yaml.j2", {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}, None),
        ("service.yaml.j2", {"loadBalancerSourceRanges": ["10.0.0.0/8"]}, None),
        ("service.yaml.j2", {"externalTrafficPolicy": "Local"}, "Cluster"),
        ("service.yaml.j2", {"internalTrafficPolicy": "Local"}, "Cluster"),
        ("service.yaml.j2", {"trafficDistribution": "PreferClose"}, None),
        ("service.yaml.j2", {"publishNotReadyAddresses": True}, False),
        ("deployment.yaml.j2", {"paused": True}, False),
        ("deployment.yaml.j2", {"minReadySeconds": 600}, 0),
        ("deployment.yaml.j2", {"replicas": 1}, 4),
        ("poddisruptionbudget.yaml.j2", {"maxUnavailable": 0}, 1),
    ],
    ids=str,
)
def test_what_the_promise_hangs_on_is_taken_back(name: str, changed: dict[str, Any], back: object) -> None:
    (field,) = changed
    patch = taken_back(name, changed)
    assert field in patch
    assert patch[field] == back


def test_a_place_that_somebody_wished_for_the_pods_is_taken_back() -> None:
    spec = render("deployment.yaml.j2")["spec"]
    spec["template"]["spec"] |= {"nodeSelector": {"disk": "fast"}, "affinity": {"nodeAffinity": {}}}
    patch = taken_back("deployment.yaml.j2", {"template": spec["template"]})["template"]["spec"]
    assert {key: patch[key] for key in ("nodeSelector", "affinity")} == {
        "nodeSelector": None,
        "affinity": None,
    }


def scaled(*targets: tuple[str, str], replicas: int | None = 6) -> object:
    scalers = [
        {"metadata": {"name": f"of-{name}"}, "spec": {"scaleTargetRef": {"kind": kind, "name": name}}}
        for kind, name in targets
    ]
    there = [] if replicas is None else [{"spec": {"replicas": replicas}}]
    given = {"__site_scalers": {"resources": scalers}, "__site_deployments": {"resources": there}}
    return render("deployment.yaml.j2", **given)["spec"]["replicas"]


def test_the_number_of_pods_is_left_to_an_autoscaler() -> None:
    assert scaled(("Deployment", "site")) == 6
    assert scaled(("Deployment", "other"), ("StatefulSet", "site")) == 4
    assert scaled(("Deployment", "site"), replicas=None) == 4
    assert templated("site", "{{ __site_scaled_by }}", **GIVEN) == []


def pod(**settings: Any) -> dict[str, Any]:
    return dict(render("deployment.yaml.j2", **settings)["spec"]["template"]["spec"])


def test_the_pod_security_standard_restricted_is_met() -> None:
    spec = pod()
    container = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    labels = render("namespace.yaml.j2")["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
        "restricted"
    }


def test_selectors_find_the_pods() -> None:
    labels = render("deployment.yaml.j2")["spec"]["template"]["metadata"]["labels"].items()
    deployment = render("deployment.yaml.j2")["spec"]
    for selector in (
        deployment["selector"]["matchLabels"],
        deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        render("service.yaml.j2")["spec"]["selector"],
        render("poddisruptionbudget.yaml.j2")["spec"]["selector"]["matchLabels"],
        render("networkpolicy-allow.yaml.j2")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels


def test_the_stop_has_time() -> None:
    spec = pod()
    prestop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    keepalive = next(e["value"] for e in spec["containers"][0]["env"] if e["name"] == "KEEPALIVE_S")
    # The rules of every node are right one to two seconds after the deletion.
    assert int(keepalive) <= prestop - 2
    # worker_shutdown_timeout in the image's nginx.conf
    assert spec["terminationGracePeriodSeconds"] >= prestop + 20


def test_the_sleep_can_be_taken_away() -> None:
    assert "lifecycle" not in pod(site_prestop_s=0)["containers"][0]


def test_lost_nodes_are_tolerated_for_a_time_and_only_by_running_pods() -> None:
    tolerations = pod(site_toleration_s=7)["tolerations"]
    assert {item["effect"] for item in tolerations} == {"NoExecute"}
    assert {item["tolerationSeconds"] for item in tolerations} == {7}


@pytest.mark.parametrize(("given", "seconds"), [({}, 300), ({"cluster_failure_detection": "fast"}, 5)])
def test_a_dead_nodes_pods_are_replaced_as_soon_as_the_cluster_is_meant_to_notice(
    given: dict[str, Any], seconds: int
) -> None:
    assert {item["tolerationSeconds"] for item in pod(**given)["tolerations"]} == {seconds}


def test_no_login_no_secret() -> None:
    assert "imagePullSecrets" not in pod()
    assert pod(**LOGIN)["imagePullSecrets"] == [{"name": "site-pull"}]


@pytest.mark.parametrize(
    ("registry", "filed"),
    [("reg.example:5000", "reg.example:5000"), ("docker.io", "https://index.docker.io/v1/")],
)
def test_the_pull_secret_holds_the_login(registry: str, filed: str) -> None:
    secret = render("pull-secret.yaml.j2", **LOGIN | {"site_pull_registry": registry})
    logins = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    assert list(logins) == [filed]
    assert base64.b64decode(logins[filed]["auth"]).decode() == 'lab:a"b: {c}'


def test_the_defaults_have_no_problems() -> None:
    assert problems() == []
    assert problems(**LOGIN) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"site_image": ""}, "apply the role image first"),
        ({"site_image": "reg.example/site:latest"}, "by digest"),
        ({"site_replicas": "1"}, "with fewer than 2"),
        ({"site_port": "0"}, "give 1 to 65535"),
        ({"site_prestop_s": "30"}, "must be the greater"),
        ({"site_prestop_s": -1}, "must be the greater"),
        ({"site_keepalive_s": 0}, "give 1 to 99999"),
        ({"site_toleration_s": -1}, "0 seconds or more"),
        ({"site_timeout_s": 0}, "1 second or more"),
        ({"site_pull_username": "lab"}, "give all three, or none"),
        (LOGIN | {"site_pull_password": ""}, "give all three, or none"),
    ],
)
def test_bad_settings_are_one_sentence(settings: dict[str, Any], said: str) -> None:
    (remedy,) = problems(**settings)
    assert said in remedy
