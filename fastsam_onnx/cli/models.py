"""`fastsam-onnx models` and `fastsam-onnx download`: the models that have a name."""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import Any

from fastsam_onnx.cli.screen import PROGRAM, Screen, print_line, printable
from fastsam_onnx.errors import DownloadError, OptionError
from fastsam_onnx.weights import catalogue
from fastsam_onnx.weights import lookup as weights
from fastsam_onnx.weights.catalogue import Entry

BAR_EVERY_S = 0.1


def models(arguments: argparse.Namespace, _screen: Screen) -> int:
    """Tell what models there are, and which of them are here; the network is not touched.

    Returns:
        0.

    Raises:
        FastSAMError: There is no place for a cache folder.
    """
    records = [_facts(entry) for entry in catalogue.ENTRIES]
    for line in map(json.dumps, records) if arguments.json else _readable(records):
        print_line(line)
    return 0


def download(arguments: argparse.Namespace, screen: Screen) -> int:
    """Fetch models; those that are here are read and checked. Their paths go to standard output.

    Returns:
        0, or 1 if some failed.

    Raises:
        FastSAMError: There is no such name; nothing was done.
    """
    entries = [_entry(name) for name in dict.fromkeys(arguments.names)]
    failed = False
    for entry in entries:
        try:
            was_here = weights.is_here(entry)
            path = weights.fetch(entry, progress=DownloadBar(screen), unverified=arguments.unverified)
            if was_here:
                weights.verify(entry)
        except DownloadError as error:
            screen.say(f"{entry.name}: {error}")
            failed = True
        else:
            screen.clear()
            print_line(str(path))
    return 1 if failed else 0


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


def _entry(name: str) -> Entry:
    entry = catalogue.find(name)
    if entry is None:
        raise OptionError(f"there is no model of the name {name!r}; names: {', '.join(weights.names())}")
    return entry


def _readable(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of `models`: a list, then who says what of the licences, each once."""
    for facts in records:
        size = "unknown" if facts["bytes"] is None else f"{facts['bytes'] / 1e6:.1f} MB"
        yield f"{facts['name']:20}{size:>10}  {facts['state']:10}  {facts['purpose']}"
        yield f"{'':34}licence: {facts['licence']}"
        if facts["problem"]:
            yield f"{'':34}{printable(facts['problem'])}"
    for key in ("licence_details", "source"):
        yield ""
        names: dict[str, list[str]] = {}
        for facts in records:
            names.setdefault(facts[key], []).append(facts["name"])
        for details, those in names.items():
            yield from textwrap.wrap(f"{', '.join(those)}: {details}", 100, subsequent_indent="  ")
    yield ""
    yield f"`{PROGRAM} download NAME` keeps files in {printable(str(weights.cache_folder()))}"


def _facts(entry: Entry) -> dict[str, Any]:
    folder = weights.cache_folder()
    problem = None
    try:
        state = "here" if weights.is_here(entry) else "not here"
    except DownloadError as error:
        state, problem = "other file", str(error)
    return {
        "name": entry.name,
        "task": entry.task,
        "purpose": entry.purpose,
        "bytes": catalogue.total_size(entry.files),
        "licence": entry.licence,
        "licence_details": entry.licence_details,
        "source": entry.source,
        "state": state,
        "problem": problem,
        "path": str(folder / entry.path),
        "files": [
            {
                "path": str(folder / file.path),
                "bytes": file.size,
                "sha256": file.sha256,
                "addresses": list(file.addresses),
            }
            for file in entry.files
        ],
    }
