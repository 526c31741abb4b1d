"""The arguments of every module that tells what it waits for; its action plugin does that."""

from __future__ import annotations

from typing import Any

ARGUMENTS: dict[str, dict[str, Any]] = {
    "run_dir": {"type": "path"},
    "waits_for": {"type": "str"},
    "interval_s": {"type": "float", "default": 5.0},
}
