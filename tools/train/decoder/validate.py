"""Mean IoU of the answers to prompts on train_validation, with and without the decoder of a file.

python -m tools.train.decoder.validate weights/fastsam-nano.onnx --data DATA --photos 60
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastsam_onnx import FastSAM, Segmentation
from fastsam_onnx.images.load import load_image

from ...evaluate import CHOOSING_SET, Overlay, any_point, best_by_prompt, interior_point, moved, read_set

KINDS = ("box", "moved", "centre", "anywhere")


def answers(found: Segmentation, prompts: dict[str, np.ndarray]) -> dict[str, Segmentation]:
    """The answers to prompts by kind."""
    return {
        kind: found.box_prompt(asked) if kind in ("box", "moved") else found.point_prompt(asked[:, None])
        for kind, asked in prompts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of train_validation")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    model = FastSAM(options.model, threads=options.threads)
    sums: dict[tuple[str, str], list[float]] = {}
    for photo in itertools.islice(read_set(options.data / CHOOSING_SET), options.photos):
        found = model(load_image(photo.source))
        [truth] = photo.truths[CHOOSING_SET]
        rng = np.random.default_rng(len(truth.masks))
        prompts = {
            "box": truth.boxes,
            "moved": moved(truth.boxes, rng),
            "centre": np.array([interior_point(mask) for mask in truth.masks]),
            "anywhere": np.array([any_point(mask, rng) for mask in truth.masks]),
        }
        overlay = Overlay(truth.masks, found.image_size)
        plain = replace(found, candidates=replace(found.candidates, closer=None))
        for name, each in (("without", plain), ("with", found)):
            for kind, answer in answers(each, prompts).items():
                ious = best_by_prompt(answer, len(truth.masks), overlay)[~truth.crowd]
                sums.setdefault((name, kind), []).extend(ious.tolist())
    for name in ("without", "with"):
        print(f"{name:8}", *(f"{kind} {np.mean(sums[name, kind]):.4f}" for kind in KINDS))


if __name__ == "__main__":
    main()
