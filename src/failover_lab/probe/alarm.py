"""Wakes a selector at an instant.

Linux' epoll waits for whole milliseconds, and Python rounds up twice: each request would be one too late. A
timer of the kernel's that the selector watches like a socket goes off when it is due.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import sys

_MONOTONIC = 1
_ABSOLUTE = 1


class Alarm:
    """A timer of the kernel's; whoever registers it is woken by it.

    Attributes:
        at: when it goes off, or has gone off, in monotonic seconds.
    """

    def __init__(self) -> None:
        """It is not set yet.

        Raises:
            OSError: this system has none.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            create, self._settime = libc.timerfd_create, libc.timerfd_settime
        except AttributeError as error:
            raise OSError(str(error)) from error
        self._fd: int = create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        # Seconds and nanoseconds, of the period, which there is none of, and of the instant.
        self._spec = (ctypes.c_long * 4)()
        self._argument = ctypes.byref(self._spec)
        self.at = 0.0

    def fileno(self) -> int:
        """What a selector watches."""
        return self._fd

    def set(self, at: float) -> None:
        """Let it go off then, and not as it was set before."""
        self.at = at
        seconds = int(at)
        # All zero would mean never.
        self._spec[2], self._spec[3] = seconds, int((at - seconds) * 1e9) or 1
        self._settime(self._fd, _ABSOLUTE, self._argument, None)

    def close(self) -> None:
        """Give it back."""
        os.close(self._fd)


def for_selector(selector: selectors.BaseSelector) -> Alarm | None:
    """One that is registered; None where the selector is exact by itself, or there is none to be had."""
    if sys.platform != "linux":
        return None
    try:
        alarm = Alarm()
    except OSError:
        return None
    selector.register(alarm, selectors.EVENT_READ, (lambda _alarm: None, alarm))
    return alarm
