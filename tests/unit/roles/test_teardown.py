"""What the roles would remove is the lab's alone; no engine is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.role_variables import templated

REPO = Path(__file__).resolve().parents[3]
TAG = "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("url", "repository", "name"),
    [
        ("", "failover-lab/site", "127.0.0.1:5001/failover-lab/site"),
        ("docker.io", "you/site", "you/site"),
        ("index.docker.io", "you/site", "you/site"),
        ("docker.io", "library/site", "site"),
        ("registry.example.org", "team/site", "registry.example.org/team/site"),
    ],
)
def test_copies_of_the_image(url: str, repository: str, name: str) -> None:
    tasks = yaml.safe_load((REPO / "roles/registry/tasks/absent.yml").read_text())
    (remove,) = [task for task in tasks if "community.docker.docker_image_remove" in task]
    (look,) = [task for task in tasks if "community.docker.docker_host_info" in task]
    listed = [
        {"RepoTags": [f"{name}:{TAG}", "users/own:1", f"{name}:latest"]},
        {"RepoTags": [f"{name}:v1", f"{name}:{TAG}0", f"{name.replace('.', '-')}:{TAG}"]},
    ]
    settings = {
        "registry_url": url,
        "registry_repository": repository,
        "registry_port": 5001,
        "__registry_copies": {"images": listed},
    }
    reference = look["community.docker.docker_host_info"]["images_filters"]["reference"]
    assert templated("registry", reference, **settings) == f"{name}:*"
    assert set(templated("registry", remove["loop"], **settings)) == {f"{name}:{TAG}"}


def test_the_tag_is_of_the_form_that_the_role_image_gives() -> None:
    found = {"files": [{"path": "/site/Dockerfile", "checksum": "0"}]}
    tag = templated(
        "image", "{{ __image_tag }}", image_context="/site", __image_files=found, __image_base_found={}
    )
    listed = {"images": [{"RepoTags": [f"you/site:{tag}"]}]}
    (loop,) = [
        task["loop"]
        for task in yaml.safe_load((REPO / "roles/registry/tasks/absent.yml").read_text())
        if "loop" in task
    ]
    settings = {"registry_url": "docker.io", "registry_repository": "you/site", "__registry_copies": listed}
    assert templated("registry", loop, **settings) == [f"you/site:{tag}"]


def remove_home(tmp_path: Path, home: Path, **environment: str) -> None:
    role = {"name": "cluster", "tasks_from": "home_absent"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"cluster_minikube_home": str(home)},
        "tasks": [{"name": "Remove it", "ansible.builtin.include_role": role}],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", str(path)],
        cwd=REPO,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
def test_minikubes_home_goes_with_the_last_profile(tmp_path: Path) -> None:
    home = tmp_path / ".minikube"
    (home / "profiles" / "another-lab").mkdir(parents=True)
    remove_home(tmp_path, home)
    assert home.exists()
    (home / "profiles" / "another-lab").rmdir()
    remove_home(tmp_path, home, MINIKUBE_HOME=str(tmp_path))
    assert home.exists(), "it is the user's own"
    remove_home(tmp_path, home)
    assert not home.exists()


def test_images_that_the_lab_has_built() -> None:
    (remove,) = [
        task
        for task in yaml.safe_load((REPO / "roles/toolchain/tasks/absent.yml").read_text())
        if "community.docker.docker_image_remove" in task
    ]
    key = "0123456789ab"
    built = [f"failover-lab/{name}{key}" for name in ("etcd:", "node:v1.99.1-", "rootfs-node:bookworm-")]
    users = ["failover-lab/mine:1", "failover-lab/site:latest", f"failover-lab/a/b:{key}", f"x/etcd:{key}"]
    listed = {"images": [{"RepoTags": [*built, *users]}, {"RepoTags": None}]}
    found = templated("toolchain", remove["loop"], __toolchain_lab_images=listed)
    assert set(found) == set(built)
