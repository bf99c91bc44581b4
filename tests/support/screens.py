"""A terminal that keeps what is written to it, and a clock that the test sets."""

from __future__ import annotations

import io
import time

import pytest


class Terminal(io.StringIO):
    """Standard error of somebody who looks at it."""

    def isatty(self) -> bool:
        return True

    def taken(self) -> str:
        """What has come since the last look."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


class Clock:
    """The time in seconds that `time.perf_counter` tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.seconds)
