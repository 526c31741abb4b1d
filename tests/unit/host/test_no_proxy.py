"""What only this machine can reach is not asked of a proxy."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.host import no_proxy

NETWORK = ipaddress.IPv4Network("192.168.49.0/24")
PROXY = {"HTTPS_PROXY": "http://user:secret@proxy.example.org:3128"}


@pytest.mark.parametrize(
    "listed", ["*", "localhost, 192.168.49.0/24", "192.168.0.0/16,x", "192.168.49.1/16", "0.0.0.0/0"]
)
def test_a_network_is_named_by_itself_or_by_a_larger_one(listed: str) -> None:
    assert no_proxy.names(listed, NETWORK)


@pytest.mark.parametrize(
    "listed",
    ["", "localhost,.example.org", "192.168.49.2", "192.168.49.0/25", "192.168.58.0/24", "fd00::/8", "*,x"],
)
def test_anything_else_does_not_name_it(listed: str) -> None:
    assert not no_proxy.names(listed, NETWORK)


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, []),
        ({"HTTP_PROXY": "http://x", "http_proxy": "http://x"}, []),
        ({"HTTPS_PROXY": ""}, []),
        (PROXY, ["127.0.0.1", "192.168.49.0/24"]),
        ({"all_proxy": "http://x", "no_proxy": "127.0.0.1"}, ["192.168.49.0/24"]),
        (PROXY | {"NO_PROXY": "192.168.0.0/16"}, ["127.0.0.1"]),
        (PROXY | {"NO_PROXY": "127.0.0.1,192.168.0.0/16"}, []),
        (PROXY | {"NO_PROXY": "127.0.0.1,192.168.0.0/16", "no_proxy": "127.0.0.1"}, ["192.168.49.0/24"]),
        (PROXY | {"NO_PROXY": "127.0.0.1", "no_proxy": "*"}, ["192.168.49.0/24"]),
    ],
)
def test_what_is_missing(environment: dict[str, str], missing: list[str]) -> None:
    assert no_proxy.missing(environment, NETWORK) == missing


def test_the_remedy_keeps_what_is_named_already(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("https_proxy", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (PROXY | {"NO_PROXY": "127.0.0.1,.example.org"}).items():
        monkeypatch.setenv(name, value)
    assert cli.main(["no-proxy", "--network=192.168.49.0/24"]) == 2
    said = capsys.readouterr().err
    listed = "127.0.0.1,.example.org,192.168.49.0/24"
    assert "NO_PROXY does not name 192.168.49.0/24, which" in said
    assert said.endswith(f"export NO_PROXY={listed} no_proxy={listed}\n")
    assert "secret" not in said

    monkeypatch.setenv("NO_PROXY", listed)
    assert cli.main(["no-proxy", "--network=192.168.49.0/24"]) == 0


@pytest.mark.parametrize(
    ("spoken", "shouted", "listed"),
    [
        ("", "", "127.0.0.1"),
        (" a, b,", "", "a,b,127.0.0.1"),
        ("a,b", "b,c", "a,b,c,127.0.0.1"),
        ("*", "a", "'*'"),
        ("a,*", "", "'*'"),
    ],
)
def test_the_remedy_keeps_what_either_spelling_names(spoken: str, shouted: str, listed: str) -> None:
    environment = {"no_proxy": spoken, "NO_PROXY": shouted}
    assert no_proxy.remedy(environment, ["127.0.0.1"]) == f"export NO_PROXY={listed} no_proxy={listed}"


def test_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["no-proxy", "--network=a/24"]) == 2
    assert "a/24 is no IPv4 network" in capsys.readouterr().err


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The docker command's own settings, where nothing else says anything of proxies."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


HANDED_ON = {"httpProxy": "http://proxy.example:3128", "httpsProxy": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("proxies", "words"),
    [
        ({"default": HANDED_ON}, '"noProxy": "127.0.0.1,192.168.49.0/24"'),
        (
            {"default": HANDED_ON | {"noProxy": "example.org"}},
            '"noProxy": "example.org,127.0.0.1,192.168.49.0/24"',
        ),
        ({"unix:///var/run/docker.sock": HANDED_ON}, "hands a proxy to every container"),
    ],
)
def test_a_proxy_that_the_docker_command_hands_on(
    docker: Path, capsys: pytest.CaptureFixture[str], proxies: dict[str, Any], words: str
) -> None:
    docker.write_text(json.dumps({"proxies": proxies}))
    assert cli.main(["no-proxy", "--network=192.168.49.0/24"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert str(docker) in said


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"auths": {}}',
        '{"proxies": {"default": {"ftpProxy": "http://proxy.example"}}}',
        json.dumps({"proxies": {"default": HANDED_ON | {"noProxy": "127.0.0.0/8,192.168.0.0/16"}}}),
        json.dumps({"proxies": {"tcp://other:2375": HANDED_ON}}),
    ],
)
def test_one_that_it_does_not(docker: Path, content: str) -> None:
    docker.write_text(content)
    assert cli.main(["no-proxy", "--network=192.168.49.0/24"]) == 0


def test_without_settings_of_its_own(docker: Path) -> None:
    assert not docker.exists()
    assert cli.main(["no-proxy", "--network=192.168.49.0/24"]) == 0
