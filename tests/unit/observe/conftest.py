"""The made-up runs that these tests share with others."""

from tests.unit.made_up import _process_as_before, made_up, undisturbed

__all__ = ["_process_as_before", "made_up", "undisturbed"]
