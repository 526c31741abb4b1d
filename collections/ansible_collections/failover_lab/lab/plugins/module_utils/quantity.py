"""Quantities, as Kubernetes writes them."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def amount(quantity: Any) -> float:  # noqa: ANN401 - strings and numbers both occur
    """A quantity of the API as a number: cores, bytes or pieces.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", str(quantity))
    if not match:
        raise ValueError(f"{quantity!r} is no quantity")
    return float(match[1]) * _UNITS[match[2] or ""]
