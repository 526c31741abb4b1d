"""Texts of other programs, fit to be shown: a terminal obeys control characters, XML forbids them."""

from __future__ import annotations

import re
from typing import Any

# What colours a terminal or moves its cursor, with all that belongs to it.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
# C0 but tab and new line, C1, halves of surrogates, and what is no character.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(value: Any) -> Any:  # noqa: ANN401  whatever JSON is made of
    """The same without control characters: a text, or whatever JSON makes of objects and lists of them.

    Sequences for a terminal are left out; of any other control character is shown that there was one.
    """
    if isinstance(value, str):
        return _UNFIT.sub("\ufffd", _SEQUENCES.sub("", value.replace("\r\n", "\n")))
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value
