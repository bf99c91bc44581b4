"""`fastsam-onnx info`: the network in a model file, its inputs, outputs and defaults."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli.arguments import add_command
from fastsam_onnx.cli.common import find_model
from fastsam_onnx.cli.screen import PROGRAM, Screen, print_line, printable
from fastsam_onnx.network.file import is_checkpoint_file
from fastsam_onnx.network.onnx_header import external_bytes, read_onnx_header

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM

EPILOG = f"""\
example:
  {PROGRAM} info my-yolov8-seg.onnx"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "info",
        run,
        usage="[--json] [MODEL]",
        summary="describe a model file: its network, inputs, outputs and defaults",
        epilog=EPILOG,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help=f"a file (.onnx or .pt), or a name that `{PROGRAM} models` lists (default: the bundled model)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the command.

    Returns:
        0.

    Raises:
        FastSAMError: If the model cannot be opened.
    """
    from fastsam_onnx.model import FastSAM

    path = find_model(arguments.model, screen)
    with FastSAM(path) as model:
        facts = _facts(path, model)
    if arguments.json:
        print_line(json.dumps(facts))
    else:
        for name, value in _readable(facts):
            print_line(f"{name + ':':12}{printable(value)}")
    return 0


def _facts(path: Path, model: FastSAM) -> dict[str, Any]:
    contract, options = model.contract, model.options
    metadata = contract.metadata
    return {
        "model": str(path),
        "bytes": path.stat().st_size,
        "external_bytes": {} if is_checkpoint_file(path) else external_bytes(path),
        "description": contract.description,
        "input": {
            "name": contract.input_name,
            "dtype": str(contract.input_dtype),
            "batch": contract.batch,
            "height": contract.height,
            "width": contract.width,
            "stride": contract.stride,
        },
        "fixed": contract.fixed,
        "classes": contract.told_classes,
        "names": {str(index): name for index, name in contract.names.items()},
        "coefficients": contract.coefficient_count,
        "nms_inside": contract.nms_inside,
        "metadata": {
            "imgsz": contract.imgsz,
            "conf": contract.conf,
            "iou": contract.iou,
            "refine": contract.refine,
            "redraw": contract.redraw,
            "covered": metadata.covered,
            "batch": metadata.batch,
            "nms": {"conf": metadata.nms_conf, "iou": metadata.nms_iou} if metadata.nms else None,
            "end2end": metadata.end2end,
            "license": metadata.license,
        },
        "decoder": metadata.decoder is not None,
        "corrector": metadata.corrector is not None,
        "onnx": None if is_checkpoint_file(path) else asdict(read_onnx_header(path)),
        "defaults": dict(options),
        "providers": model.providers,
    }


def _readable(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of each line of `info`."""
    yield "model", facts["model"]
    beside = "".join(f", and {_size(size)} in {name}" for name, size in facts["external_bytes"].items())
    yield "bytes", _size(facts["bytes"]) + beside
    yield "network", facts["description"]
    if names := list(facts["names"].values()):
        yield "classes", ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    if facts["nms_inside"]:
        yield "nms", _nms_inside(facts["metadata"])
    if facts["decoder"]:
        more = ", and a corrector what has further points, and rough masks" if facts["corrector"] else ""
        yield "decoder", f"draws objects and answers to points and boxes anew{more}"
    if facts["metadata"]["batch"] is not None:
        yield "exported", f"with batch {facts['metadata']['batch']}"
    if facts["onnx"] is not None:
        yield "file", "ONNX, opset {opset}, parameters mostly {precision}".format(**facts["onnx"])
    yield "licence", facts["metadata"]["license"] or "not stated in the file"
    own = {name: value for name, value in facts["metadata"].items() if value is not None}
    height, width = facts["defaults"]["imgsz"]
    values = {**facts["defaults"], "imgsz": f"{width}x{height}"}
    if facts["fixed"]:
        own["imgsz"] = values["imgsz"]
    origin = {name: "from the file" if name in own else "built in" for name in values}
    yield "defaults", ", ".join(f"{name} {value} ({origin[name]})" for name, value in values.items())
    yield "providers", ", ".join(facts["providers"])


def _size(count: int) -> str:
    return f"{count:,} ({count / 1e6:.1f} MB)"


def _nms_inside(metadata: dict[str, Any]) -> str:
    if metadata["end2end"]:
        return "none is needed: the network gives each object once; --conf and --iou can only be stricter"
    stated = metadata["nms"] or {}
    known = ", ".join(f"{name} {value:g}" for name, value in stated.items() if value is not None)
    return f"inside the network ({known or 'thresholds not stated'}); --conf and --iou can only be stricter"
