"""What the benches make of their figures. The benches themselves need a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from bench import bench, probe, rounds

CHANGED = "PLAY RECAP ***\nlocalhost : ok=61 changed={} unreachable=0 failed=0\n"


@pytest.mark.parametrize(
    ("cores", "late_ms", "well"), [(0.5, 5.0, True), (0.51, 1.0, False), (0.1, 5.01, False)]
)
def test_the_probe(cores: float, late_ms: float, well: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.within_limits({"cores": cores, "late_p99_ms": late_ms}) is well
    said = capsys.readouterr().out
    assert "at most 0.5:" in said
    assert "at most 5 ms:" in said
    assert ("NO" in said) is not well


def within(**other: Any) -> bool:
    """Figures that are all just within their limits, but for these."""
    figures: dict[str, Any] = {"setup": (100.0, 50.0), "again": (25.0, 0), "drains": [(30.0, 20.0)]}
    return bench.within_limits(**(figures | other))


def test_the_lab(capsys: pytest.CaptureFixture[str]) -> None:
    assert within()
    said = capsys.readouterr().out
    assert said.count(": yes\n") == 5
    for limit in ("2", "25 s", "0", "1.5", "10 s"):
        assert f"at most {limit}: yes" in said


@pytest.mark.parametrize(
    "other",
    [
        {"setup": (101.0, 50.0)},
        {"again": (25.1, 0)},
        {"again": (20.0, 1)},
        {"drains": [(15.5, 10.0)]},
        {"drains": [(50.1, 40.0)]},
        {"drains": [(30.0, 20.0), (31.0, 20.0), (32.0, 20.0)]},
    ],
)
def test_one_limit_missed_is_enough(other: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert not within(**other)
    assert ": NO\n" in capsys.readouterr().out


def test_a_single_slow_round_is_no_rule() -> None:
    assert within(drains=[(24.0, 20.0), (24.0, 20.0), (60.0, 20.0)])


def test_what_setup_changed() -> None:
    assert bench.changed(CHANGED.format(0)) == 0
    assert bench.changed(CHANGED.format(12)) == 12
    with pytest.raises(ValueError, match="no recap"):
        bench.changed("killed")


def report(node: str, announcer: str | None, total: int) -> dict[str, Any]:
    return {"fault": {"node": node, "announcer": announcer}, "requests": {"total": total, "failed": 0}}


def test_a_round_counts_with_enough_requests_and_the_announcer_among_its_nodes() -> None:
    assert rounds.lacking([report("m02", "m03", 12_000), report("m03", "m03", 12_000)]) == []
    (few,) = rounds.lacking([report("m02", "m03", 12_000), report("m03", "m03", 11_999)])
    assert few.startswith("23999 requests are too few, 24000 are wanted")
    (never,) = rounds.lacking([report("m02", "lab", 20_000), report("m03", None, 20_000)])
    assert never == "no node that was drained announced the address: lab, nobody known did"
