"""What is said while a task runs, beneath the heading of its phase: no Ansible inside."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

# A heading is told before the first line beneath it. That line may come from the play's own process or from
# that of a task, which is forked from it: so whether the heading was told stands where both look.
_told = multiprocessing.RawValue("b", 1)
_heading = ""


def begin(heading: str) -> bool:
    """From here on lines stand beneath this heading, which nobody sees before the first of them.

    Returns:
        Whether it is another one than before.
    """
    global _heading  # noqa: PLW0603  a play has one phase at a time, and its tasks inherit it
    if heading == _heading:
        return False
    _heading = heading
    _told.value = 0
    return True


def tell_heading(show: Callable[[str], object]) -> None:
    """Tell the heading, unless it was.

    Args:
        show: Puts a line on the terminal.
    """
    if not _told.value:
        _told.value = 1
        show(_heading)


def say(line: str, show: Callable[[str], object]) -> None:
    """Tell a line beneath its heading.

    Args:
        line: The line.
        show: Puts a line on the terminal.
    """
    tell_heading(show)
    show(line)
