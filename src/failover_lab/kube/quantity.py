"""Quantities as Kubernetes writes them, read by its own rules (k8s.io/apimachinery/pkg/api/resource)."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

_DECIMAL = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
# Digits may be missing on either side of the point, or on both. An E with a number behind it is an exponent,
# one without is a suffix.
_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[KMGTPE]i|[numkMGTPE]|))"
)
_NANO = 10**9
_MOST = 2**63 - 1
# Beyond it lies nothing that a machine could have; a number of a billion digits would be made of it.
_MOST_EXPONENT = 400


def amount(quantity: Any) -> Fraction:  # noqa: ANN401 - strings and numbers both occur
    """A quantity of the API as a number, and an exact one: cores, bytes or pieces.

    What is smaller than a billionth is rounded away from zero, and what has a binary suffix ends at 2⁶³ - 1.

    Raises:
        ValueError: it is none.
    """
    text = str(quantity)
    form = _FORM.fullmatch(text)
    if not text or not form:
        raise ValueError(f"{quantity!r} is no quantity")
    part = form["part"] or ""
    size = Fraction(int((form["whole"] or "0") + part), 10 ** len(part))
    binary = _BINARY.get(form["suffix"] or "")
    if binary is not None:
        size = min(size * 2**binary, Fraction(_MOST))
    else:
        exponent = int(form["exponent"]) if form["exponent"] else _DECIMAL[form["suffix"] or ""]
        size *= Fraction(10) ** max(-_MOST_EXPONENT, min(_MOST_EXPONENT, exponent))
    # -(-a // b): upwards.
    size = Fraction(-(-size * _NANO // 1), _NANO)
    return -size if form["sign"] == "-" else size
