"""What all tests share: the programs of the environment that runs the tests come first, activated or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

UNIT = Path(__file__).with_name("unit")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is the unit tests': what else runs is neither counted nor slowed down."""
    for item in items:
        if UNIT not in item.path.parents:
            item.add_marker("no_cover")
