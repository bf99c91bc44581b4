"""What the command line says: lines and a progress bar on standard error, records on standard output."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PROGRAM = "fastsam-onnx"
BAR_EVERY_S = 0.1


class Screen:
    """Lines and a progress bar on one stream, so that they don't run into each other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = 0

    def say(self, text: str) -> None:
        """Write what happened, on one line whatever the text holds."""
        self.write(f"{PROGRAM}: {text}")

    def write(self, text: str) -> None:
        """Write a line; what is not printable (of a file name, say) is escaped."""
        self.clear()
        self._stream.write(printable(text.replace("\n", " ")) + "\n")
        self._stream.flush()

    def progress(self, share: float | None, text: str, seconds_left: float | None) -> None:
        """Draw the bar anew, on a terminal: a share from 0 to 1, what it is a share of, and how long still.

        Without a share there is no bar, only text.
        """
        if not self._stream.isatty():
            return
        rest = "" if seconds_left is None else f", {_clock(seconds_left)} left"
        bar = "" if share is None else f"[{'#' * int(24 * share):.<24}] "
        text = f"{bar}{printable(text)}{rest}"
        self._stream.write("\r" + text.ljust(self._shown))
        self._stream.flush()
        self._shown = len(text)

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._shown = 0


class DownloadBar:
    """The progress of a download on a terminal, for `weights.resolve` and `weights.fetch`."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._began = self._drawn = 0.0

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Draw the bar, if there is something new to see."""
        now = time.monotonic()
        if done == 0:
            self._began = now
        if total is None or (now - self._drawn < BAR_EVERY_S and 0 < done < total):
            return
        self._drawn = now
        left = (now - self._began) / done * (total - done) if done else None
        self._screen.progress(done / total, f"{done / 1e6:.1f} of {total / 1e6:.1f} MB of {name}", left)


@contextmanager
def logged_to(screen: Screen, level: int) -> Iterator[None]:
    """Show what the package logs, between the lines of the screen."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            screen.say(f"{record.levelname.lower()}: {record.getMessage()}")

    handler = Handler(level)
    logger = logging.getLogger("fastsam_onnx")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        screen.clear()


def print_line(text: str) -> None:
    """Write a line to standard output, at once; what its encoding lacks is escaped."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Text that does nothing to a terminal: control characters and undecodable bytes are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
