"""Files of YAML: each is read once in a process, and by libyaml, which takes a tenth of the time."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml


@functools.cache
def load(path: Path) -> Any:
    """What is in a file; None where there is none. Whoever changes it makes a copy first."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) if path.exists() else None
