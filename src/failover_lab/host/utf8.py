"""Ansible goes on only in a locale of UTF-8 that this machine has; else C.UTF-8 takes its place.

Each program of ``.venv`` begins by importing this (scripts/env.sh), so it imports next to nothing itself.
"""

from __future__ import annotations

import _locale
import os

# What the module locale calls Error.
_ERROR: type[Exception] = vars(_locale)["Error"]


def is_usable() -> bool:
    """Whether what LC_ALL, LC_* and LANG name is there, and of UTF-8."""
    before = _locale.setlocale(_locale.LC_ALL, None)
    try:
        _locale.setlocale(_locale.LC_ALL, "")
        return _locale.nl_langinfo(_locale.CODESET).upper() in {"UTF-8", "UTF8"}
    except _ERROR:
        return False
    finally:
        _locale.setlocale(_locale.LC_ALL, before)


if not is_usable():
    os.environ["LC_ALL"] = "C.UTF-8"
