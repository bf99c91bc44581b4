"""Puts a corrector's averaged weights into the file of its network, beside the decoder.

    python -m tools.train.decoder.export_corrector weights/fastsam-nano.onnx ../runs/corrector/state.pt --data DATA

It is computed in int8 like the decoder, calibrated on corrections. The file holds what it differs in, compressed: the
bytes of weights that both share are zeros there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from fastsam_onnx import FastSAM
from fastsam_onnx.masks.decoder_file import change_of, file_of

from ..manifest import note
from .corrections import corrected
from .corrector import Corrections, finished, tied
from .data import load_scenes
from .export import SCENES, in_bytes, load_mean, origin, put, read_state, reopened, stored, visited
from .network import Decoder

CLICKS = 0.6  # of the corrections


def corrections(path: Path, corrector: Decoder, data: Path) -> list[dict[str, np.ndarray]]:
    """Corrections on training photos, as the corrector takes them, the same every time."""
    with FastSAM(path) as model:
        scenes, weights = load_scenes(data, model, [], SCENES)
    prompts = visited(Corrections(scenes, weights, 1, 0, finished(path), clicks=CLICKS))
    photo, maps, answer, _, _, counts = (torch.from_numpy(np.stack(each)) for each in zip(*prompts, strict=True))
    torch.manual_seed(0)
    maps = corrected(corrector, photo, maps, answer, counts, first=reopened(path))
    return [{"photo": one[None], "maps": its[None]} for one, its in zip(photo.numpy(), maps.numpy(), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="the network's file, which is rewritten; its manifest lies beside it")
    parser.add_argument("states", type=Path, nargs="+", help="state.pt of a training, or of several in a row: the mean")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_labelled")
    options = parser.parse_args()
    states = [read_state(path) for path in options.states]
    network = tied(load_mean(states), reopened(options.model))
    corrector = in_bytes(network, corrections(options.model, network, options.data))
    decoder = file_of(stored(options.model))
    if len(corrector) != len(decoder):
        raise SystemExit(f"the corrector has {len(corrector)} bytes, the decoder {len(decoder)}: not of one network")
    change = change_of(decoder, corrector)
    data = put(options.model, decoder, change)
    note(options.model.with_suffix(".json"), data, corrector={**origin(states), "bytes": len(change)})
    print(f"corrector {len(change)} bytes, with its network {len(data)}")


if __name__ == "__main__":
    main()
