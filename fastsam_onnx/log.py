"""The package's log. The standard library's is imported when there is something to say: most photos go without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MOST_WARNINGS, MOST_WARNING = 5, 500
"""Most warnings in a header, and the most characters of each: clients take headers of a few kilobytes."""
_gathering: ContextVar[list[str] | None] = ContextVar("gathering", default=None)


def warn(message: str, *args: object) -> None:
    """Log a warning as "fastsam_onnx"; `message` and `args` are those of `logging.Logger.warning`."""
    import logging

    logging.getLogger("fastsam_onnx").warning(message, *args, stacklevel=2)
    if (told := _gathering.get()) is not None:
        told.append(message % args if args else message)


@contextmanager
def gathered() -> Iterator[list[str]]:
    """The list of what is warned of meanwhile, in this thread or task, beside the log; for whoever asked elsewhere."""
    told: list[str] = []
    before = _gathering.set(told)
    try:
        yield told
    finally:
        _gathering.reset(before)


def warning_header(warnings: Iterable[str]) -> str:
    """The value of HTTP's header Warning (RFC 7234, 5.5) for an answer that was warned of, in ASCII.

    What the log calls by its bytes is the photo for who sent it.
    """
    import json
    import re

    told = (re.sub(r"^bytes \(\d+ bytes\)", "the photo", warning) for warning in warnings)
    few = list(dict.fromkeys(told))[:MOST_WARNINGS]
    return ", ".join(f"299 - {json.dumps(text[:MOST_WARNING])}" for text in few)
