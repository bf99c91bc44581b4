"""Gives an int8 file of before what new ones have: bytes moved by whole pixels, the photo in four channels.

    python -m tools.move_bytes weights/fastsam-nano.onnx weights/fastsam-nano.onnx

The outputs stay the same bit for bit, which is tried at three sizes before the file is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx

from fastsam_onnx.files import write_file
from fastsam_onnx.quantize.byte_moves import with_byte_moves
from fastsam_onnx.quantize.four_channels import with_four_channels
from fastsam_onnx.runtime import create_session

SIZES = ((384, 512), (640, 384), (64, 96))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    made = with_four_channels(with_byte_moves(onnx.load(options.model))).SerializeToString()
    old, new = create_session(options.model), create_session(made)
    [source] = old.get_inputs()
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        photo = rng.random((1, 3, height, width), np.float32)
        for before, after in zip(old.run(None, {source.name: photo}), new.run(None, {source.name: photo}), strict=True):
            if not np.array_equal(before, after):
                raise SystemExit(f"{options.model}: not the same at {width}x{height}; nothing was written")
    write_file(str(options.output), [made])
    print(f"{options.output}: {len(made)} bytes, the same outputs")


if __name__ == "__main__":
    main()
