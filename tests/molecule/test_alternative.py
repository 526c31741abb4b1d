"""The scenario of the lab as somebody else would have it."""

from __future__ import annotations

import pytest
from tests.beside import LARGE, Beside, failure

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.shares]


def test_the_lab_as_somebody_else_would_have_it(beside: Beside) -> None:
    done = beside.ended(LARGE)
    assert done.returncode == 0, failure(done)
