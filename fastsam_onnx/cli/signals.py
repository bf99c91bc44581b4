"""Signals that ask the program to end: it clears up what is half written, then ends as the signal wants it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What `kill`, a shutdown and a closed terminal send; Ctrl-C raises a KeyboardInterrupt anyway."""


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
    """Let SIGTERM and SIGHUP raise `EndedBySignal`, once; where they are ignored already (nohup) they stay so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # a second one must not stop the clearing up
        raise EndedBySignal(number)

    before: dict[Any, Any] = {each: signal.getsignal(each) for each in ENDING}
    before = {each: handler for each, handler in before.items() if handler == signal.SIG_DFL}
    try:
        for each in before:
            signal.signal(each, end)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
