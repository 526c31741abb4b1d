"""Every template of the role `site`, with its defaults and other settings, is what Kubernetes accepts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.role_variables import templated

ROLE = Path(__file__).resolve().parents[3] / "roles/site"
TEMPLATES = sorted(path.name for path in (ROLE / "templates").glob("*.j2"))
IMAGE = f"reg.example:5000/team/site@sha256:{'0' * 64}"
GIVEN = {"site_image": IMAGE, "ansible_check_mode": False, "omit": None}
LOGIN = {
    "site_pull_registry": "reg.example:5000",
    "site_pull_username": "lab",
    "site_pull_password": 'a"b: {c}',
}
NEAREST_VERSION = "1.35"


def render(name: str, **settings: Any) -> dict[str, Any]:
    text = templated("site", (ROLE / "templates" / name).read_text(), **GIVEN | settings)
    return dict(yaml.safe_load(str(text)))


def problems(**settings: Any) -> list[str]:
    found = templated("site", "{{ __site_problems }}", **GIVEN | settings)
    return [str(item["remedy"]) for item in found]


def test_all_templates_are_applied() -> None:
    ground = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__site_ground"]
    assert sorted([*ground, "pull-secret.yaml.j2", "deployment.yaml.j2"]) == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    "settings", [{}, LOGIN, {"site_prestop_s": "0", "site_replicas": "6", "site_port": "8080"}]
)
def test_valid(name: str, settings: dict[str, Any]) -> None:
    kubernetes_validate.validate(render(name, **settings), NEAREST_VERSION, strict=True)


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
