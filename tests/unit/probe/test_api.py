"""A cluster's own API, asked while a run goes on, against a server of the tests' own, with TLS."""

from __future__ import annotations

import collections
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.api_server import ApiServer, api_server, certificate, kubeconfig

from failover_lab import cli
from failover_lab.probe import api
from failover_lab.run.layout import Run
from failover_lab.run.records import RecordFile
from failover_lab.waiting import until

if TYPE_CHECKING:
    import pytest

MAPS = "/api/v1/namespaces/site/configmaps"
MAP: dict[str, Any] = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": api.NAME}}
ANSWERS = {MAPS: MAP, f"{MAPS}/{api.NAME}": MAP}


def asked(server: ApiServer, folder: Path, *more: str, user: dict[str, str] | None = None) -> int:
    both, _ = certificate(folder / "user")
    known = {"client-certificate": str(both), "client-key": str(both)} if user is None else user
    config = kubeconfig(folder / "config", "lab", server.url, server.ca, known)
    return cli.main(["ask-api", f"--out={folder / 'run'}", "--context=lab", f"--kubeconfig={config}", *more])


def test_it_is_read_and_written_until_it_is_time_to_stop(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    stop = tmp_path / "stop"

    def enough() -> None:
        until(lambda: sum(method == "PATCH" for method, _ in server.asked) < 5, 60)
        stop.touch()

    with api_server(tmp_path / "server", answers=ANSWERS) as server:
        threading.Thread(target=enough).start()
        assert asked(server, tmp_path, f"--stop-file={stop}", "--max-duration=60") == 0
        methods = collections.Counter(method for method, _ in server.asked)
        assert server.asked[0] == ("POST", MAPS)
        assert server.asked[-1] == ("DELETE", f"{MAPS}/{api.NAME}")
    assert methods["GET"] > methods["PATCH"] >= 5
    for kind, count in (("reads", methods["GET"]), ("writes", methods["PATCH"])):
        assert len(list(RecordFile(run.api_probe(kind).records).records())) == count
    assert json.loads(run.api_asker.read_text())["state"] == "ended"
    # All of a run have one clock, once there is one.
    assert not run.clock.exists()


def test_a_user_without_a_certificate_is_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with api_server(tmp_path / "server", answers=ANSWERS) as server:
        assert asked(server, tmp_path, user={"token": "t"}) == 2
        assert server.asked[-1] == ("DELETE", f"{MAPS}/{api.NAME}")
    assert "the context's user has no certificate" in capsys.readouterr().err
    said = json.loads(Run(tmp_path / "run").api_asker.read_text())
    assert said["state"] == "ended"
    assert "it is not measured" in said["trouble"]


def test_an_api_that_refuses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with api_server(tmp_path / "server", "refuses", answers=ANSWERS) as server:
        assert asked(server, tmp_path) == 2
        assert "PATCH" not in {method for method, _ in server.asked}
    assert "the API refuses what it is to be asked with" in capsys.readouterr().err


def test_what_is_asked_breaks_off_with_its_own_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_READ_S", 1e6)
    with api_server(tmp_path / "server", answers=ANSWERS) as server:
        assert asked(server, tmp_path, "--max-duration=60") == 2
    assert "of the API broke off: failover-lab: error: " in capsys.readouterr().err


def test_a_write_is_one_each_time() -> None:
    data = {"one": "1", "other": "2"}
    for step in api._EXCHANGE:
        data[step["path"].rpartition("/")[2]] = data.pop(step["from"].rpartition("/")[2])
    assert data == {"one": "2", "other": "1"}
