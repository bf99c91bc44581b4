"""Puts the decoder and the corrector of one network's file into another's, as they are.

    python -m tools.train.decoder.carry ../runs/small.onnx weights/fastsam-small.onnx

For a network that learned on: what the decoder draws hangs little on it, and `validate` tells how much.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx

from fastsam_onnx.masks.decoder_file import CORRECTOR_KEY, file_of

from ..manifest import note
from .export import put, stored


def carry(source: Path, target: Path) -> int:
    """Writes them into the target's file and manifest; returns the file's bytes."""
    props = {prop.key: prop.value for prop in onnx.load(source).metadata_props}
    data = put(target, file_of(stored(source)), props.get(CORRECTOR_KEY))
    about = json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))
    kept = {key: about[key] for key in ("decoder", "corrector") if key in about}
    note(target.with_suffix(".json"), data, **kept)
    return len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="the network's file, which is rewritten; its manifest lies beside it")
    parser.add_argument("source", type=Path, help="the file whose decoder and corrector it gets; with its manifest")
    options = parser.parse_args()
    print(f"decoder of {options.source.name}, with its network {carry(options.source, options.model)} bytes")


if __name__ == "__main__":
    main()
