"""A setting that one kind of fault alone takes is refused with others, in a sentence, and has its bounds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.role_variables import templated


def problems(**settings: Any) -> list[str]:
    found: list[str] = templated("fault", "{{ __fault_problems }}", fault_driver="docker", **settings)
    return found


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        ("loss", "fault_loss_percent", "0.1"),
        ("loss", "fault_duration_s", "5"),
        ("loss", "fault_loss_percent", 100),
        ("slow", "fault_cpu_percent", "3"),
        ("process", "fault_pods", "all"),
        ("reboot", "fault_reboot_s", "0"),
        ("rollout", "fault_image", "x:1"),
        ("sandbox", "fault_pods", "all"),
    ],
)
def test_what_a_kind_takes(kind: str, setting: str, value: Any) -> None:
    assert problems(fault_kind=kind, **{setting: value}) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"fault_kind": "kill", "fault_loss_percent": 20},
            "fault_loss_percent=20 does not go with fault_kind=kill",
        ),
        (
            {"fault_kind": "drain", "fault_duration_s": "5"},
            "fault_duration_s=5 does not go with fault_kind=drain",
        ),
        ({"fault_kind": "loss", "fault_loss_percent": "0"}, "fault_loss_percent is 0: give 0.1 to 100."),
        ({"fault_kind": "loss", "fault_loss_percent": 101}, "fault_loss_percent is 101: give"),
        (
            {"fault_kind": "loss", "fault_cpu_percent": 20},
            "fault_cpu_percent=20 does not go with fault_kind=loss",
        ),
        ({"fault_kind": "reboot", "fault_reboot_s": 61}, "fault_reboot_s is 61: give 0 to 60."),
        ({"fault_kind": "kill", "fault_reboot_s": 6}, "fault_reboot_s=6 does not go with fault_kind=kill"),
        ({"fault_kind": "reboot", "fault_recovery": "watchdog"}, "after which no node is lost"),
        (
            {"fault_kind": "rollout", "fault_node": "m02"},
            "fault_node=m02 does not go with fault_kind=rollout",
        ),
        ({"fault_kind": "kill", "fault_image": "x:1"}, "fault_image=x:1 does not go with fault_kind=kill"),
        ({"fault_kind": "slow", "fault_cpu_percent": 2}, "fault_cpu_percent is 2: give 3 to 100."),
        ({"fault_kind": "loss", "fault_duration_s": 0}, "fault_duration_s is 0: give 1 second or more."),
        ({"fault_kind": "loss", "fault_recovery": "watchdog"}, "after which no node is lost"),
        ({"fault_kind": "loss", "fault_node_return": "replace"}, "whose node lives on"),
    ],
)
def test_what_it_does_not_take(settings: dict[str, Any], words: str) -> None:
    assert words in problems(**settings)[0]
