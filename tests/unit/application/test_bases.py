from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from failover_lab import cli
from failover_lab.application.bases import bases, stand_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "arguments", "found"),
    [
        ("FROM nginx\nCOPY . /x\n", {}, ["nginx"]),
        ("# a comment\n\nfrom --platform=linux/amd64 httpd:2.4 as web\n", {}, ["httpd:2.4"]),
        ("ARG V=1.27\nFROM nginx:${V}-alpine", {}, ["nginx:1.27-alpine"]),
        ("ARG V=1.27\nFROM nginx:$V", {"V": "1.28"}, ["nginx:1.28"]),
        ('ARG BASE="python"\nARG TAG\nFROM ${BASE}:${TAG:-3.13}', {}, ["python:3.13"]),
        ("FROM nginx${TAG:+:$TAG}", {}, ["nginx"]),
        # An argument after the first FROM is another one.
        ("ARG A=x\nFROM $A\nARG A=y\nFROM $A", {}, ["x"]),
        ("FROM python AS build\nFROM scratch\nCOPY --from=build /x /\nCOPY --from=0 /y /", {}, ["python"]),
        ("FROM nginx\nCOPY --from=busybox:1 --chown=1 /bin/sh /", {}, ["nginx", "busybox:1"]),
        ("FROM \\\n  nginx \\\n  # in between\n  AS web\nFROM web", {}, ["nginx"]),
        ("# escape=`\nFROM `\n  nginx", {}, ["nginx"]),
        ("FROM nginx\nRUN <<EOF\nFROM other\nEOF\nFROM httpd", {}, ["nginx", "httpd"]),
        ("FROM nginx\nFROM nginx", {}, ["nginx"]),
        ("FROM", {}, []),
        ("", {}, []),
    ],
)
def test_what_it_is_built_on(text: str, arguments: dict[str, str], found: list[str]) -> None:
    assert bases(text, arguments) == found


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27-alpine", "nginx"),
        ("docker.io/library/httpd:2.4", "httpd"),
        ("index.docker.io/library/python", "python"),
        ("library/python@sha256:00", "python"),
        ("nginxinc/nginx-unprivileged", ""),
        ("registry.example.org/nginx", ""),
        ("localhost:5000/nginx:1", ""),
        ("node:22", ""),
    ],
)
def test_what_stands_in(image: str, name: str) -> None:
    assert stand_in(image) == name


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Dockerfile").write_text("ARG X=1\nFROM nginx:$X\nFROM node\n", encoding="utf-8")
    assert cli.main(["--json", "bases", str(tmp_path / "Dockerfile"), "--arguments", '{"X": "2"}']) == 0
    assert json.loads(capsys.readouterr().out)["data"] == {
        "bases": ["nginx:2", "node"],
        "stand_ins": {"nginx:2": "nginx"},
    }


def test_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bases", str(tmp_path / "Dockerfile")]) == 2
    assert "cannot read" in capsys.readouterr().err
