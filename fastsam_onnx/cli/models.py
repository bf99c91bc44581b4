"""`fastsam-onnx models`: the models that have a name, the bundled one first."""

from __future__ import annotations

import argparse
import hashlib
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from fastsam_onnx import weights
from fastsam_onnx.cli.arguments import add_command
from fastsam_onnx.cli.screen import PROGRAM, Screen, print_line, printable
from fastsam_onnx.errors import DownloadError
from fastsam_onnx.weights import catalogue
from fastsam_onnx.weights.bundled import BUNDLED, BundledModel, bundled_model
from fastsam_onnx.weights.catalogue import Entry

EPILOG = f"""\
A name can be given wherever a model's file can:
{PROGRAM} segment --model FastSAM-s downloads it, once. Nothing else uses
the network.

environment:
  {weights.HOME}     folder of the downloads
  {weights.OFFLINE}  1 forbids the network
  {weights.MIRRORS}  addresses, separated by spaces, that are tried first;
                        each serves files as the folder of the downloads has
                        them"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "models",
        run,
        usage="[--json]",
        summary="list the models that have a name: size, licence, purpose, and whether it is here",
        epilog=EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line, with addresses and SHA-256")


def run(arguments: argparse.Namespace, _screen: Screen) -> int:
    """List the models, and which of them are here; the network is not used.

    Returns:
        0.

    Raises:
        FastSAMError: If there is no place for a cache folder.
    """
    records = [*map(_bundled, BUNDLED), *map(_facts, catalogue.ENTRIES)]
    for line in map(json.dumps, records) if arguments.json else _readable(records):
        print_line(line)
    return 0


def _readable(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of `models`: a list, then the details of the licences and sources, each once."""
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


def _bundled(model: BundledModel) -> dict[str, Any]:
    """The facts of a model that comes with the package."""
    path = bundled_model(model.name)
    data = path.read_bytes()
    return {
        "name": model.name,
        "task": "segment",
        "purpose": model.purpose,
        "bytes": len(data),
        "licence": "Apache-2.0",
        "licence_details": "Apache-2.0, trained for this package; weights/README.md tells from which photos",
        "source": "this package",
        "state": "included",
        "problem": None,
        "path": str(path),
        "files": [{"path": str(path), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "addresses": []}],
    }


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
