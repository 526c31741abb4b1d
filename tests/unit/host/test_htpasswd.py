"""The registry's password file: written once, kept while it fits, and errors that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import bcrypt
import pytest

from failover_lab import cli
from failover_lab.host import htpasswd


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("a secret\n")
    return path


def run(password_file: Path, out: Path, *more: str) -> int:
    try:
        more = ("--rounds", "4", *more)
        return cli.main(
            ["htpasswd", "--username", "lab", "--password-file", str(password_file), "--out", str(out), *more]
        )
    except SystemExit as error:
        return int(error.code or 0)


def test_written_once_and_kept_while_it_fits(
    password_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "htpasswd"
    assert run(password_file, out) == 0
    first = out.read_text()
    assert run(password_file, out) == 0
    assert out.read_text() == first
    assert capsys.readouterr().out == "written\nkept\n"
    assert out.stat().st_mode & 0o777 == 0o644
    name, _, hashed = first.strip().partition(":")
    assert name == "lab"
    # The blank at the line's end is no part of the password.
    assert bcrypt.checkpw(b"a secret", hashed.encode())
    assert "secret" not in first


@pytest.mark.parametrize("before", ["", "lab", "lab:nonsense", "other:{hashed}", "\0\n", "lab:{other}"])
def test_what_does_not_fit_is_replaced(before: str, password_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "htpasswd"
    hashed, other = (bcrypt.hashpw(word, bcrypt.gensalt(4)).decode() for word in (b"a secret", b"other"))
    out.write_text(before.format(hashed=hashed, other=other))
    assert run(password_file, out) == 0
    assert out.read_text().startswith("lab:")
    assert htpasswd.fits(out.read_text(), "lab", b"a secret")
    assert not htpasswd.fits(out.read_text(), "lab", b"a secret ")


def test_bytes_that_are_no_text_are_replaced(password_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "htpasswd"
    out.write_bytes(b"\xff\xfe")
    assert run(password_file, out) == 0
    assert htpasswd.fits(out.read_text(), "lab", b"a secret")


@pytest.mark.parametrize("content", [b"", b" \n", b"x" * 73])
def test_a_password_that_bcrypt_would_not_look_at_whole(
    content: bytes, password_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password_file.write_bytes(content)
    assert run(password_file, tmp_path / "htpasswd") == 2
    assert "must hold a password of 1 to 72 bytes" in capsys.readouterr().err
    assert not (tmp_path / "htpasswd").exists()


def test_errors_name_the_file(
    password_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "missing", tmp_path / "htpasswd") == 2
    assert f"cannot read {tmp_path / 'missing'}" in capsys.readouterr().err
    assert run(password_file, tmp_path / "missing" / "htpasswd") == 2
    assert "cannot write" in capsys.readouterr().err
    assert run(password_file, tmp_path / "htpasswd", "--rounds", "99") == 2
    assert "give 4 to 16" in capsys.readouterr().err
    assert run(password_file, tmp_path / "htpasswd", "--username", "a:b") == 2
    assert "give one without a colon" in capsys.readouterr().err


def test_without_bcrypt_only_this_command_fails(
    password_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    assert run(password_file, tmp_path / "htpasswd") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "needs the Python package bcrypt" in said
    assert cli.main(["mark", "--out", str(tmp_path), "fault_begin"]) == 0
