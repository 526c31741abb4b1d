"""A locale that is missing is no reason for a play to end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[3] / "src"
# As Ansible does it first of all.
ANSIBLES = (
    "import locale, os; locale.setlocale(locale.LC_ALL, '');"
    "print(locale.getlocale()[1], os.environ.get('LC_ALL'))"
)


@pytest.mark.parametrize(
    ("locale", "found"),
    [
        ({"LC_ALL": "xx_YY.UTF-8"}, "UTF-8 C.UTF-8"),
        ({"LANG": "xx"}, "UTF-8 C.UTF-8"),
        ({"LC_TIME": "xx_YY.UTF-8", "LANG": "C.UTF-8"}, "UTF-8 C.UTF-8"),
        ({"LC_ALL": "C"}, "UTF-8 C.UTF-8"),
        ({"LC_ALL": "POSIX"}, "UTF-8 C.UTF-8"),
        ({"LANG": "C.UTF-8"}, "UTF-8 None"),
    ],
    ids=str,
)
def test_a_locale_of_utf_8_in_any_case(locale: dict[str, str], found: str) -> None:
    kept = {
        name: value for name, value in os.environ.items() if name != "LANG" and not name.startswith("LC_")
    }
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import failover_lab.host.utf8; {ANSIBLES}"],
        env=kept | locale | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == found, done.stderr
