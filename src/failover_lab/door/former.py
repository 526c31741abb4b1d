"""Commands that had another name in the version before: it works for this one, with a notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Former name to present name.
FORMER = {"direct": "no-proxy", "give-away": "remediate", "routes": "proxy-rules"}


def present(words: Sequence[str]) -> tuple[list[str], str]:
    """What was typed, by the name of today; and the notice, empty where it was that name already.

    Args:
        words: as they are typed after the program's name.
    """
    place = next((place for place, word in enumerate(words) if not word.startswith("-")), len(words))
    typed = "".join(words[place : place + 1])
    if typed not in FORMER:
        return list(words), ""
    name = FORMER[typed]
    notice = f"{typed} is called {name} now, and the next version knows it by that name alone"
    return [*words[:place], name, *words[place + 1 :]], notice
