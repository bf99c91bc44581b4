"""Signals that ask the program to end: it clears up what is half written, then ends as the signal wants it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What `kill`, a shutdown and a closed terminal send; Ctrl-C raises a KeyboardInterrupt anyway."""
RETRY_SECONDS = 0.02
"""Time until a signal that came during an import is looked at again."""
PATIENCE_SECONDS = 1.0
"""Time for which further Ctrl-C are one with the first; a later one ends the program in the midst of clearing up."""


class EndedBySignal(BaseException):
    """A signal asks the program to end; no `except Exception` may stop it on the way.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def signals_that_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `EndedBySignal`, once; where they are ignored already (nohup) they stay so.

    What comes after the first of them, or after Ctrl-C, must not stop the clearing up, but for a Ctrl-C that comes
    `PATIENCE_SECONDS` later: it ends the program at once.

    All of them wait for the end of an import: an exception in the middle of one may leave the interpreter's lock of
    imports locked, so that the next import of another thread waits for ever, or becomes an error of a compiled module.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending_since: float | None = None
    imports_before = _imports_under_way(sys._getframe())

    def act(number: int, frame: FrameType | None) -> None:
        nonlocal ending_since
        if sys.platform != "win32" and _imports_under_way(frame) > imports_before:
            signal.signal(signal.SIGALRM, lambda _, later: act(number, later))
            signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        elif ending_since is None:
            ending_since = time.monotonic()
            raise KeyboardInterrupt if number == signal.SIGINT else EndedBySignal(number)
        elif number == signal.SIGINT and time.monotonic() - ending_since > PATIENCE_SECONDS:
            os._exit(128 + number)

    before: dict[Any, Any] = {each: signal.getsignal(each) for each in (*ENDING, signal.SIGINT)}
    untouched = (signal.SIG_DFL, signal.default_int_handler)
    before = {each: handler for each, handler in before.items() if handler in untouched}
    try:
        with _alarm_given_back():
            for each in before:
                signal.signal(each, act)
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _imports_under_way(frame: FrameType | None) -> int:
    """The number of calls of the import system that a frame is inside of."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        frame = frame.f_back
    return count


@contextmanager
def _alarm_given_back() -> Iterator[None]:
    """Stop the alarm after the block, and give it its handler of before."""
    if sys.platform == "win32":
        yield
        return
    before = signal.getsignal(signal.SIGALRM)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
