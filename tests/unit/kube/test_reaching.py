"""What bars the way to an API server is named, soon, with a remedy that fits whose cluster it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.failover_lab.lab.plugins.modules import cluster_answers
from tests import api_server as api

from failover_lab.kube import client, cluster
from failover_lab.kube.errors import RefusedError

Object = dict[str, Any]
Ask = Callable[..., Object]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run the module on a kubeconfig; what it said. A silence of half a second is one."""
    monkeypatch.setattr(client, "REQUEST_TIMEOUT_S", 0.5)

    def run(kubeconfig: str, provider: str = "existing", context: str = "office") -> Object:
        arguments = {"context": context, "kubeconfig": kubeconfig, "provider": provider}
        begun = time.monotonic()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            cluster_answers.main()
        assert time.monotonic() - begun < 20, "nobody waits for ever"
        answer: Object = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_one_that_answers(ask: Ask, tmp_path: Path) -> None:
    with api.api_server(tmp_path / "tls") as server:
        answer = ask(api.kubeconfig(tmp_path / "config", "office", server.url, server.ca))
    assert answer["version"] == "v1.99.1"
    assert not answer["changed"]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("mute", "takes the connection and says nothing"),
        ("silent", "takes the connection and says nothing"),
        ("closes", "ends the connection without an answer"),
        ("web", "is no API server"),
        ("binary", "is no API server"),
        ("breaks off", "ends the connection without an answer"),
    ],
)
@pytest.mark.parametrize("provider", ["existing", "minikube"])
def test_one_that_does_not(ask: Ask, tmp_path: Path, behaviour: str, words: str, provider: str) -> None:
    with api.api_server(tmp_path / "tls", behaviour) as server:
        said = ask(api.kubeconfig(tmp_path / "config", "office", server.url, server.ca), provider)["msg"]
    assert said.startswith("The cluster office does not answer")
    assert words in said
    remedies = {
        "existing": "`kubectl --context office get --raw /version` must work",
        "minikube": "`ansible-playbook setup.yml -e lab_profile=office`, which starts it again",
    }
    assert remedies.pop(provider) in said
    assert remedies.popitem()[1] not in said


@pytest.mark.parametrize("content", [{"message": "Hello"}, [], "Hello"])
def test_json_of_something_else(ask: Ask, tmp_path: Path, content: object) -> None:
    with api.api_server(tmp_path / "tls", answers={"/version": content}) as server:
        said = ask(api.kubeconfig(tmp_path / "config", "office", server.url, server.ca))["msg"]
    assert "is no API server: it has no version of Kubernetes" in said


def test_nobody_listens(ask: Ask, tmp_path: Path) -> None:
    nobody = f"https://127.0.0.1:{api.free_port()}"
    assert "no connection to 127.0.0.1: " in ask(api.kubeconfig(tmp_path / "config", "office", nobody))["msg"]


def test_a_name_that_nobody_knows(ask: Ask, tmp_path: Path) -> None:
    said = ask(api.kubeconfig(tmp_path / "config", "office", "https://nowhere.invalid:6443"))["msg"]
    assert "the name nowhere.invalid is not known" in said


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"names": ("192.0.2.7",)}, "IP address mismatch"),
        ({"expired": True}, "expired"),
    ],
)
def test_a_certificate_that_does_not_fit(ask: Ask, tmp_path: Path, how: Object, words: str) -> None:
    with api.api_server(tmp_path / "tls", **how) as server:
        said = ask(api.kubeconfig(tmp_path / "config", "office", server.url, server.ca))["msg"]
    assert "(TLS: " in said
    assert words in said
    assert "setup.yml" not in said, "it is not the lab's"
    assert ("if that is wrong, set it right" in said) is bool(how.get("expired"))


def test_a_certificate_of_another_authority(ask: Ask, tmp_path: Path) -> None:
    _, stranger = api.certificate(tmp_path / "stranger")
    with api.api_server(tmp_path / "tls") as server:
        path = api.kubeconfig(tmp_path / "config", "office", server.url, stranger)
        assert "is not trusted (TLS: " in ask(path)["msg"]
        assert "run `ansible-playbook teardown.yml -e lab_profile=office`" in ask(path, "minikube")["msg"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not know who asks (401 Unauthorized: said 401): the credentials"),
        (403, "refused: 403 Forbidden: said 403. The user of the context office may not do that"),
        (503, "refused: 503 Service Unavailable: said 503. It is starting, or has too much to do"),
    ],
)
def test_a_refusal(ask: Ask, tmp_path: Path, status: int, words: str) -> None:
    with api.api_server(tmp_path / "tls", "refuses") as server:
        server.status = status
        said = ask(api.kubeconfig(tmp_path / "config", "office", server.url, server.ca))["msg"]
    assert words in said
    assert "starts it again" not in said


@pytest.mark.parametrize("status", [429, 503])
def test_one_that_says_to_come_back_in_an_hour(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    """It is not waited for: urllib3 by itself would sleep that hour, three times."""
    with api.api_server(tmp_path / "tls", "refuses") as server:
        server.status, server.headers = status, {"Retry-After": "3600"}
        monkeypatch.setattr(client, "COME_BACK_S", 0.01)
        lab = cluster.Cluster("office", api.kubeconfig(tmp_path / "config", "office", server.url, server.ca))
        begun = time.monotonic()
        with pytest.raises(RefusedError) as refusal:
            lab.nodes()
        assert time.monotonic() - begun < 10
    assert refusal.value.status == status
    assert len(server.asked) == 4, "it may be over in a moment"


@pytest.mark.parametrize("content", [{"message": "Hello"}, [], "Hello"])
def test_a_list_of_something_else(tmp_path: Path, content: object) -> None:
    with api.api_server(tmp_path / "tls", answers={"/api/v1/nodes": content}) as server:
        path = api.kubeconfig(tmp_path / "config", "office", server.url, server.ca)
        with pytest.raises(RefusedError, match="is no API server: /api/v1/nodes is no"):
            cluster.Cluster("office", path).nodes()


def test_a_list_that_is_null(tmp_path: Path) -> None:
    with api.api_server(tmp_path / "tls", answers={"/api/v1/pods": {"items": None}}) as server:
        path = api.kubeconfig(tmp_path / "config", "office", server.url, server.ca)
        assert cluster.Cluster("office", path).pods() == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo no ticket >&2; exit 1", "no ticket"),
        ("echo nonsense", "failed to decode"),
        ('echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "x"}\'', "status"),
    ],
)
def test_a_credential_plugin_that_fails(ask: Ask, tmp_path: Path, program: str, words: str) -> None:
    said = ask(api.kubeconfig(tmp_path / "config", "office", "https://127.0.0.1:1", user=plugin(program)))[
        "msg"
    ]
    assert said.startswith("The credential plugin of the context office failed")
    assert words in said
    assert "log in as that cluster wants it" in said


def test_a_credential_plugin_that_is_not_there(ask: Ask, tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    said = ask(api.kubeconfig(tmp_path / "config", "office", "https://127.0.0.1:1", user=user))["msg"]
    assert "no-such-plugin" in said
    assert said.startswith("The credential plugin of the context office failed")


def test_a_credential_plugin_that_waits_for_ever(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OPEN_TIMEOUT_S", 0.4)
    path = api.kubeconfig(tmp_path / "config", "office", "https://127.0.0.1:1", user=plugin("exec sleep 30"))
    assert "did not come within 0 s" in ask(path)["msg"]


def plugin(program: str) -> Object:
    """A user whose credentials come from a shell's words."""
    return {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", program]}
    }


@pytest.mark.parametrize("content", ["{broken: [", "a sentence", "[]", "clusters: 3\ncontexts: x\n"])
def test_a_kubeconfig_that_is_damaged(ask: Ask, tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    assert str(path) in ask(str(path))["msg"]


def test_a_context_that_is_not_there(ask: Ask, tmp_path: Path) -> None:
    path = api.kubeconfig(tmp_path / "config", "office", "https://127.0.0.1:1")
    assert "one of `kubectl config get-contexts`" in ask(path, context="nowhere")["msg"]
    assert "setup.yml -e lab_profile=nowhere` first" in ask(path, "minikube", "nowhere")["msg"]


def test_a_certificate_file_that_is_not_there(ask: Ask, tmp_path: Path) -> None:
    path = api.kubeconfig(tmp_path / "config", "office", "https://127.0.0.1:1", tmp_path / "gone.crt")
    assert "gone.crt" in ask(path)["msg"]
