"""A kubectl context named like the lab is the lab's, or not, by the certificates that it leads to."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from failover_lab import cli


class Kubeconfig:
    """A kubeconfig beside a minikube's home that has certificates."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kube" / "config"
        self.home = folder / "data" / ".minikube"
        (self.home / "profiles" / "team").mkdir(parents=True)
        self.path.parent.mkdir()
        (self.home / "ca.crt").write_text("authority\n")
        (self.home / "profiles/team/client.crt").write_text("client\n")
        self.content: dict[str, Any] = {"contexts": [], "clusters": [], "users": []}
        self.add("other", {"server": "https://192.0.2.1"}, {"token": "x"})

    def add(self, name: str, cluster: dict[str, str], user: dict[str, str]) -> None:
        """A context, with cluster and user of the same name."""
        self.content["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
        self.content["clusters"].append({"name": name, "cluster": cluster})
        self.content["users"].append({"name": name, "user": user})

    def minikubes(self) -> None:
        """As minikube writes it."""
        client = f"{self.home}/profiles/team/client.crt"
        self.add("team", {"certificate-authority": f"{self.home}/ca.crt"}, {"client-certificate": client})

    def ask(self) -> int:
        self.path.write_text(yaml.safe_dump(self.content))
        return cli.main(
            ["own-context", "--profile=team", f"--kubeconfig={self.path}", f"--minikube-home={self.home}"]
        )


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Kubeconfig:
    return Kubeconfig(tmp_path)


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_none_of_that_name(kubeconfig: Kubeconfig) -> None:
    assert kubeconfig.ask() == 0


def test_minikubes_own(kubeconfig: Kubeconfig) -> None:
    kubeconfig.minikubes()
    assert kubeconfig.ask() == 0


def test_minikubes_own_with_relative_paths(kubeconfig: Kubeconfig) -> None:
    home = "../data/.minikube"
    kubeconfig.add(
        "team",
        {"certificate-authority": f"{home}/ca.crt"},
        {"client-certificate": f"{home}/profiles/team/client.crt"},
    )
    assert kubeconfig.ask() == 0


def test_minikubes_own_in_one_piece(kubeconfig: Kubeconfig) -> None:
    kubeconfig.add(
        "team",
        {"certificate-authority-data": data("authority\n")},
        {"client-certificate-data": data("client\n")},
    )
    assert kubeconfig.ask() == 0


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"server": "https://team.example.org"}, {"token": "x"}),
        ({"certificate-authority": "/etc/ssl/ca.crt"}, {"client-certificate": "/etc/ssl/me.crt"}),
        ({"certificate-authority-data": data("another")}, {"client-certificate-data": data("me")}),
        ({"certificate-authority-data": "%"}, {"client-certificate-data": "%"}),
        # Another minikube's, of the same name.
        (
            {"certificate-authority": "/home/me/.minikube/ca.crt"},
            {"client-certificate": "/home/me/.minikube/profiles/team/client.crt"},
        ),
        ({}, {}),
    ],
    ids=str,
)
def test_somebody_elses(
    kubeconfig: Kubeconfig,
    capsys: pytest.CaptureFixture[str],
    cluster: dict[str, str],
    user: dict[str, str],
) -> None:
    kubeconfig.add("team", cluster, user)
    assert kubeconfig.ask() == 2
    said = capsys.readouterr().err
    assert "The context team in" in said
    assert "is not the lab's" in said
    assert "choose another lab_profile" in said


def test_a_context_of_the_users_that_leads_to_the_lab_or_elsewhere(kubeconfig: Kubeconfig) -> None:
    kubeconfig.minikubes()
    kubeconfig.content["contexts"][-1]["context"]["cluster"] = "other"
    assert kubeconfig.ask() == 2


@pytest.mark.parametrize("kind", ["cluster", "user"])
def test_a_cluster_or_a_user_without_a_context(
    kubeconfig: Kubeconfig, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    kubeconfig.content[f"{kind}s"].append({"name": "team", kind: {"token": "x"}})
    assert kubeconfig.ask() == 2
    assert f"The {kind} team in" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "contexts: 3", "contexts: [3]", "{", "contexts:\n- name: team\n"])
def test_a_file_that_is_not_whole(kubeconfig: Kubeconfig, text: str) -> None:
    kubeconfig.content = {}
    kubeconfig.ask()
    kubeconfig.path.write_text(text)
    options = ["--profile=team", f"--kubeconfig={kubeconfig.path}", f"--minikube-home={kubeconfig.home}"]
    assert cli.main(["own-context", *options]) == (2 if "name: team" in text else 0)
    kubeconfig.path.unlink()
    assert cli.main(["own-context", *options]) == 0
