"""Messages: lines and a progress bar on standard error, lines for other programs on standard output.

A stream that is closed, or whose reader went away, has no listener: that stops nothing else.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PROGRAM = "fastsam-onnx"
MOST_TOLD = 100
"""Warnings that are not said again while they are among the last."""
USUAL_COLUMNS = 80
"""Width of a terminal that does not tell its own."""


class StandardOutputError(OSError):
    """Standard output cannot be written, for another reason than a reader that went away."""


class Screen:
    """Lines and a progress bar on one stream, so that they don't run into each other.

    Args:
        stream: Standard error; None where it is closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._shown = 0

    def say(self, text: str) -> None:
        """Write what happened, on one line whatever the text holds."""
        self.write(f"{PROGRAM}: {text}")

    def explain(self, text: str) -> None:
        """Write why a command failed, on as many lines as the text has."""
        first, *others = text.split("\n")
        self.say(first)
        for line in others:
            self.write(line)

    def write(self, text: str) -> None:
        """Write a line; what is not printable (in a file name, say) is escaped."""
        self.clear()
        self._send(printable(text.replace("\n", " ")) + "\n")

    def draw(self, share: float | None, text: str, seconds_left: float | None) -> None:
        """Draw the bar anew, if this is a terminal, on one of its lines: only the last one could be drawn over.

        Args:
            share: Length of the bar, 0 to 1; None for text without a bar.
            text: Explanation beside the bar; of one that is too long for the line, the end.
            seconds_left: Estimate of the time left; None if unknown.
        """
        if self._stream is None or not self._stream.isatty():
            return
        rest = "" if seconds_left is None else f", {_clock(seconds_left)} left"
        bar = "" if share is None else f"[{'#' * int(24 * share):.<24}] "
        room = _line_of(self._stream)
        line = _end_of(f"{bar}{_end_of(printable(text), room - len(bar) - len(rest))}{rest}", room)
        width = _width(line)
        self._send("\r" + line + " " * (self._shown - width))
        self._shown = width

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._send("\r" + " " * self._shown + "\r")
            self._shown = 0

    def flush(self) -> None:
        """Send what is still held back."""
        self._send("")

    def _send(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            abandon(self._stream)
            self._stream = None


class Progress:
    """The share of a piece of work that is done and the time that the rest takes, drawn at most ten times a second.

    Args:
        screen: Shows it.
        every_s: Seconds between two drawings.
    """

    def __init__(self, screen: Screen, *, every_s: float = 0.1) -> None:
        self._screen, self._every_s = screen, every_s
        self._began = time.perf_counter()
        self._drawn = -math.inf

    def rate(self, done: int, noun: str) -> str:
        """The pace since the beginning, in words."""
        value = done / max(time.perf_counter() - self._began, 1e-9)
        return f"{value:.2g} {noun}/s" if value < 10 else f"{value:.0f} {noun}/s"

    def show(self, done: int, total: int | None, text: str, *, before: int = 0) -> None:
        """Draw the bar, unless that was just done.

        Args:
            done: Number of bytes, frames or photos that are done.
            total: Number of all; None if unknown. A `done` above it shows that it is wrong, and there is no bar.
            text: Explanation beside the bar.
            before: Number of those that needed no time, because they were done before.
        """
        now = time.perf_counter()
        if now - self._drawn < self._every_s and done != total:
            return
        self._drawn = now
        if not total or done > total:
            self._screen.draw(None, text, None)
            return
        left = (now - self._began) / (done - before) * (total - done) if done > before else None
        self._screen.draw(done / total, text, left)


class DownloadBar:
    """The progress of downloads, as `weights.resolve` and `weights.fetch` tell it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._progress = Progress(screen)

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Draw the bar, if the size of the file is known."""
        if not done:
            self._progress = Progress(self._screen)
        if total is not None:
            self._progress.show(done, total, f"{done / 1e6:.1f} of {total / 1e6:.1f} MB of {name}")


@contextmanager
def logged_to(screen: Screen, level: int) -> Iterator[None]:
    """Show what the package logs, between the lines of the screen; what is true of every photo, once."""
    told: deque[str] = deque(maxlen=MOST_TOLD)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = f"{record.levelname.lower()}: {record.getMessage()}"
            if line not in told:
                told.append(line)
                screen.say(line)

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
    if sys.stdout is None:  # closed
        return
    encoding = sys.stdout.encoding or "ascii"
    with _standard_output():
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()


def flush_standard_output() -> None:
    """Send what is still held back."""
    if sys.stdout is not None:
        with _standard_output():
            sys.stdout.flush()


@contextmanager
def _standard_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StandardOutputError(error.errno, error.strerror) from error


def abandon(stream: TextIO) -> None:
    """Let what is still in a stream's buffer go nowhere, or the interpreter complains about it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def printable(text: str) -> str:
    """Text that does nothing to a terminal: control characters and undecodable bytes are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _line_of(stream: TextIO) -> int:
    """Columns of a terminal that can be written without its going on in the next line."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return (columns or USUAL_COLUMNS) - 1


def _end_of(text: str, columns: int) -> str:
    """A text, or as much of its end as there is room for."""
    if _width(text) <= columns:
        return text
    end = text[max(len(text) - columns, 0) :]
    while end and 3 + _width(end) > columns:
        end = end[1:]
    return f"...{end}"


def _width(text: str) -> int:
    """Columns that a text takes: Chinese, Japanese and Korean letters two, accents of their own none."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in ("W", "F")) for char in text
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
