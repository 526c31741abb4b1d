"""What all tests share: the programs of the environment that runs the tests come first, activated or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios import Scenarios

UNIT = Path(__file__).with_name("unit")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is the unit tests': what else runs is neither counted nor slowed down."""
    for item in items:
        if UNIT not in item.path.parents:
            item.add_marker("no_cover")


@pytest.fixture(scope="session")
def scenarios() -> Iterator[Scenarios]:
    """Molecule's scenarios; what they have made is gone at the end."""
    result = Scenarios()
    yield result
    result.close()
