"""What all tests share: the programs of the environment that runs the tests come first, activated or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import coverage
import pytest
from tests.scenarios import Scenarios

UNIT = Path(__file__).with_name("unit")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is the unit tests': what else runs is neither counted nor slowed down."""
    for item in items:
        if UNIT not in item.path.parents:
            item.add_marker("no_cover")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """In one of several processes pytest-cov has begun to count twice, and pauses once."""
    left = coverage.Coverage.current() if item.get_closest_marker("no_cover") else None
    if left is None:
        return (yield)
    left.stop()
    try:
        return (yield)
    finally:
        left.start()


@pytest.fixture(scope="session")
def scenarios() -> Iterator[Scenarios]:
    """Molecule's scenarios; what they have made is gone at the end."""
    result = Scenarios()
    yield result
    result.close()
