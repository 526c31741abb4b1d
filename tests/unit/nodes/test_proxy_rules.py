"""Whether the nodes' own rules lead to the pods of now."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.kube.errors import RefusedError
from failover_lab.nodes import proxy_rules
from failover_lab.nodes.docker import EngineError

RULES = """\
*nat
:KUBE-SVC-AAAA - [0:0]
-A KUBE-SEP-1 -s 10.244.1.5/32 -m comment --comment "site/site:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-1 -p tcp -m comment --comment "site/site:http" -m tcp -j DNAT --to-destination 10.244.1.5:8080
-A KUBE-SEP-2 -p tcp -m comment --comment "site/site:http" -m tcp -j DNAT --to-destination 10.244.2.7:8080
-A KUBE-SEP-3 -p tcp -m comment --comment "site/site2:http" -m tcp -j DNAT --to-destination 10.244.2.9:8080
-A KUBE-SEP-4 -p tcp -m comment --comment "default/kubernetes:https" -j DNAT --to-destination 1.2.3.4:6443
COMMIT
"""
OLD, NEW = "10.244.2.7:8080", "10.244.3.8:8080"


def slices(*addresses: str, gone: tuple[str, ...] = ()) -> dict[str, Any]:
    endpoints = [
        {"addresses": [address], "conditions": {"ready": address not in gone}}
        for address in (*addresses, *gone)
    ]
    return {
        "items": [{"endpoints": endpoints, "ports": [{"port": 8080}]}, {"endpoints": None, "ports": None}]
    }


class Shell:
    """Gives these answers, one a question, and the last one for ever."""

    def __init__(self, answers: list[str]) -> None:
        self.answers, self.closed, self.asked = answers, False, 0

    def write(self, line: str) -> None:
        assert line
        self.asked += 1

    def lines(self) -> Iterator[str]:
        while self.answers:
            yield self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    def close(self) -> None:
        self.closed = True


class Frozen(Shell):
    """Says nothing until it is closed."""

    def __init__(self) -> None:
        super().__init__([])
        self.ended = threading.Event()
        self.in_time = False

    def lines(self) -> Iterator[str]:
        self.in_time = self.ended.wait(5.0)
        yield from ()

    def close(self) -> None:
        super().close()
        self.ended.set()


class Lab:
    """A cluster and its engine, as far as they are asked."""

    def __init__(self, items: dict[str, Any], **answers: list[str]) -> None:
        self.items = items
        self.shells = {name: Shell(said) for name, said in answers.items()}

    def request(self, method: str, path: str, **query: str) -> dict[str, Any]:
        assert (method, query) == ("get", {"labelSelector": "kubernetes.io/service-name=site"})
        assert path == "/apis/discovery.k8s.io/v1/namespaces/site/endpointslices"
        return self.items

    def shell(self, name: str, argv: list[str]) -> Shell:
        assert argv[-1] == "site/site"
        if name not in self.shells:
            raise EngineError(f"{name} is not running")
        return self.shells[name]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run ``proxy-rules`` on a lab."""
    monkeypatch.setattr(proxy_rules, "_POLL_S", 0.0)

    def run(lab: Lab, nodes: str, timeout_s: float = 5.0) -> int:
        monkeypatch.setattr(proxy_rules, "Api", lambda *_: lab)
        monkeypatch.setattr("failover_lab.nodes.driver_of", lambda _name, _: lab)
        where = ["--profile=lab", "--namespace=site", "--service=site"]
        return cli.main(["proxy-rules", *where, f"--nodes={nodes}", f"--timeout={timeout_s}"])

    return run


def test_it_waits_for_those_that_know_the_pods_of_before(command: Any, capsys: Any) -> None:
    lab = Lab(
        slices("10.244.1.5", "10.244.3.8", gone=("10.244.2.7",)),
        m02=[f"known 10.244.1.5:8080 {NEW}"],
        m03=[f"known 10.244.1.5:8080 {OLD}", "known 10.244.1.5:8080", f"known {NEW} 10.244.1.5:8080"],
    )
    assert command(lab, "m02,m03") == 0
    assert capsys.readouterr().out == ""
    assert lab.shells["m03"].asked == lab.shells["m02"].asked == 3
    assert all(shell.closed for shell in lab.shells.values())


def test_what_is_wrong_at_the_end_is_said(command: Any, capsys: Any) -> None:
    items = slices("10.244.3.8")
    assert command(Lab(items, m02=["known"], m03=[f"known {OLD} {NEW}"]), "m02,m03", 0) == 1
    assert capsys.readouterr().out == f"m02 does not send to {NEW}\nm03 still sends to {OLD}\n"


def test_without_pods_or_with_another_proxy_there_is_nothing_to_compare(command: Any) -> None:
    assert command(Lab(slices(gone=("10.244.2.7",)), m02=[f"known {OLD}"]), "m02", 0) == 0
    assert command(Lab(slices("10.244.3.8"), m02=[""]), "m02", 0) == 0


@pytest.mark.parametrize(
    ("lab", "words"),
    [
        (Lab(slices("10.244.3.8")), "m02 is not running; `docker info` must work"),
        (Lab(slices("10.244.3.8"), m02=[]), "m02 has ended or frozen while it was asked"),
    ],
    ids=["no node", "an end"],
)
def test_a_node_that_cannot_be_asked(command: Any, capsys: Any, lab: Lab, words: str) -> None:
    assert command(lab, "m02") == 2
    assert words in capsys.readouterr().err


def test_a_node_that_freezes_as_it_is_asked(
    command: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_rules, "_ANSWER_S", 0.05)
    lab = Lab(slices("10.244.3.8"), m02=[f"known {NEW}"], m04=[f"known {NEW}"])
    lab.shells["m03"] = frozen = Frozen()
    assert command(lab, "m02,m03,m04", 0.05) == 2
    assert capsys.readouterr().err == (
        "failover-lab: error: m03 has ended or frozen while it was asked for its rules; "
        "`docker ps` shows which\n"
    )
    assert frozen.in_time, "it was waited for without end"
    assert all(shell.closed for shell in lab.shells.values())


def test_a_cluster_that_says_no(command: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RefusedError(403, "forbidden")

    monkeypatch.setattr(Lab, "request", refuse)
    assert command(Lab({}, m02=["known"]), "m02") == 2
    assert "cannot be asked for the Service's endpoints: forbidden" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rules", "answer"),
    [(RULES, {"10.244.1.5:8080", OLD}), (":KUBE-SVC-B - [0:0]\n", set()), ("*nat\nCOMMIT\n", None)],
    ids=["two pods", "none", "another proxy"],
)
def test_the_question_in_a_shell(tmp_path: Path, rules: str, answer: set[str] | None) -> None:
    (tmp_path / "rules").write_text(rules)
    (tmp_path / "iptables-save").write_text(f"#!/bin/sh\n[ $1 = -t ] && cat {tmp_path}/rules\n")
    (tmp_path / "iptables-save").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", proxy_rules._QUESTION, "sh", "site/site"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        input="now\nnow\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert [proxy_rules.leads_to(line) for line in lines] == [answer, answer]


SAVE = """#!/bin/sh
[ $1 = -t ] && cat {root}/rules
"""


def waits(root: Path, wanted: dict[str, set[str]], timeout_s: float) -> str:
    """What a host says that runs the program which waits, among commands that are made up."""
    done = subprocess.run(
        ["sh", "-c", proxy_rules.program(wanted, timeout_s)],
        env={"PATH": f"{root}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stderr == ""
    return done.stdout


def has(root: Path, rules: str, name: str = "iptables-save") -> None:
    (root / "rules").write_text(rules)
    (root / name).write_text(SAVE.format(root=root))
    (root / name).chmod(0o755)


def test_a_host_waits_by_itself_until_its_rules_are_right(tmp_path: Path) -> None:
    # Some systems have one command for each of the kernel's tables.
    has(tmp_path, RULES, "iptables-legacy-save")
    (tmp_path / "iptables-save").symlink_to("/bin/false")
    wanted = {"site/site": {"10.244.1.5:8080", NEW}, "site/site2": {"10.244.2.9:8080"}}
    later = threading.Timer(0.7, (tmp_path / "rules").write_text, [RULES.replace(OLD, NEW)])
    began = time.monotonic()
    later.start()
    heard = [{"name": "m02", "stdout": waits(tmp_path, wanted, 15)}]
    assert 0.7 < time.monotonic() - began < 10
    assert proxy_rules.told(wanted, heard) == []


def test_a_host_whose_rules_stay_wrong_says_so_at_the_end(tmp_path: Path) -> None:
    has(tmp_path, RULES)
    wanted = {"site/site": {"10.244.1.5:8080", NEW}, "site/none": set[str]()}
    heard = [{"name": "m02", "stdout": waits(tmp_path, wanted, 1)}]
    assert proxy_rules.told(wanted, heard) == [f"m02 still sends to {OLD}"]
    # Nobody waits for a Service that has no pod.
    assert proxy_rules.told({}, [{"name": "m02", "stdout": waits(tmp_path, {"site/none": set()}, 60)}]) == []


def test_a_host_with_another_proxy_is_not_waited_for(tmp_path: Path) -> None:
    has(tmp_path, "*nat\nCOMMIT\n")
    wanted = {"site/site": {NEW}}
    assert proxy_rules.told(wanted, [{"name": "m02", "stdout": waits(tmp_path, wanted, 60)}]) == []


def test_hosts_by_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(proxy_rules, "Api", lambda *_: Lab(slices("10.244.1.5", "10.244.2.7")))
    words = ["proxy-rules", "--profile=lab", "--namespace=site", "--service=site", "--timeout=60"]
    assert cli.main([*words, "--program"]) == 0
    has(tmp_path, RULES)
    said = subprocess.run(
        ["sh", "-c", capsys.readouterr().out],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout
    assert cli.main([*words, "--heard", json.dumps([{"name": "m02", "stdout": said}])]) == 0
    stale = said.replace(OLD, NEW)
    assert cli.main([*words, "--heard", json.dumps([{"name": "m02", "stdout": stale}])]) == 1
    assert capsys.readouterr().out == f"m02 still sends to {NEW}\n"
    refused = [{"name": "m02", "stdout": "", "msg": "Connection refused"}]
    assert cli.main([*words, "--heard", json.dumps(refused)]) == 2
    assert "m02 does not say that it could tell its rules (Connection refused)" in capsys.readouterr().err
