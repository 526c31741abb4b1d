"""The report's memory does not grow with the number of requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.instrument.simulated_day import reported


@pytest.mark.nightly
def test_many_requests_are_reported_in_flat_memory(tmp_path: Path) -> None:
    short, long = reported(tmp_path / "short", 0.1), reported(tmp_path / "long", 0.4)
    # As objects they were 390 bytes each.
    assert (long["mib"] - short["mib"]) * 2**20 / (long["requests"] - short["requests"]) < 40
