"""The parts of the suite that ran beside the lab's first tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.beside import PARTS, Beside

if TYPE_CHECKING:
    from .conftest import Lab


@pytest.mark.parametrize(
    "part",
    [pytest.param(name, marks=[pytest.mark.nightly] if part.nightly else []) for name, part in PARTS.items()],
)
@pytest.mark.shares
def test_what_ran_beside(lab: Lab, beside: Beside, part: str) -> None:
    done = beside.ended(part)
    # What it said stands in the summary, once.
    assert done.returncode == 0, f"the tests of {part} failed: {done.last_line}"
