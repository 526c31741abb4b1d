"""The made-up runs that these tests share with others."""

from tests.unit.made_up import _looks_often, made_up, undisturbed

__all__ = ["_looks_often", "made_up", "undisturbed"]
