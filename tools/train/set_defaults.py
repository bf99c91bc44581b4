"""Writes other defaults into the metadata of a network and its manifest; the weights stay as they are.

    python -m tools.train.set_defaults weights/fastsam-nano.onnx --conf 0.12 --covered 0.5 --refine

`choose_conf.py` says which threshold.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import onnx

from fastsam_onnx.files import write_file

from .manifest import note

KEYS = ("conf", "iou", "covered", "refine", "redraw")


def with_defaults(data: bytes, defaults: dict[str, Any]) -> bytes:
    """An ONNX file with these values in its metadata, beside and in place of those that are there."""
    model = onnx.load_from_string(data)
    known = {entry.key: entry for entry in model.metadata_props}
    for name, value in defaults.items():
        (known.get(name) or model.metadata_props.add(key=name)).value = str(value)
    return model.SerializeToString()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="its manifest lies beside it")
    parser.add_argument("--conf", type=float, help="threshold of the score")
    parser.add_argument("--iou", type=float, help="threshold of the NMS")
    parser.add_argument("--covered", type=float, help="what counts against objects that lie on better ones")
    parser.add_argument("--refine", action=argparse.BooleanOptionalAction, help="refined masks, or not")
    parser.add_argument("--redraw", action=argparse.BooleanOptionalAction, help="objects drawn anew, or not")
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in KEYS}
    given = {name: value for name, value in given.items() if value is not None}
    data = with_defaults(options.model.read_bytes(), given)
    path = options.model.with_suffix(".json")
    thresholds = json.loads(path.read_text(encoding="utf-8"))["thresholds"]
    write_file(options.model, [data])
    note(path, data, thresholds=thresholds | given)


if __name__ == "__main__":
    main()
