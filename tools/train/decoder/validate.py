"""Mean IoU of answers to prompts on train_validation: without a file's decoder and with it, or as points correct them.

python -m tools.train.decoder.validate weights/fastsam-nano.onnx --data DATA --photos 0 60
python -m tools.train.decoder.validate weights/fastsam-nano.onnx --data DATA --photos 0 40 --corrections --every 2
python -m tools.train.decoder.validate weights/fastsam-nano.onnx --data DATA --photos 0 100 --predicted
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.arrays import BoolArray, FloatArray
from fastsam_onnx.images.load import load_image

from ...evaluate.answers import best_by_prompt, corrected_ious
from ...evaluate.overlay import Overlay
from ...evaluate.prompts import SKETCHES, any_point, interior_point, moved
from ...evaluate.truth import CHOOSING_SET, Truth, read_set

FIRST = {"click": None, "box": lambda mask: np.array(mask.box), **SKETCHES}
"""What is corrected by points: the answer to a click, to a box, to rough masks."""


def photos(model: FastSAM, options: argparse.Namespace) -> Iterator[tuple[Segmentation, Truth]]:
    """What is found in each photo, and its masks."""
    for photo in itertools.islice(read_set(options.data / CHOOSING_SET), *options.photos):
        yield model(load_image(photo.source)), photo.truths[CHOOSING_SET][0]


def by_prediction(
    kind: str, answer: Segmentation, ious: FloatArray, crowd: BoolArray
) -> Iterator[tuple[str, list[float]]]:
    """The IoU of each answer by the tenth in which the IoU lies that the decoder expects of it."""
    assert answer.prompt_index is not None
    for prompt, expected in zip(answer.prompt_index.tolist(), answer.predicted_iou.tolist(), strict=True):
        if not crowd[prompt]:
            yield f"{kind} {int(10 * expected) / 10:.1f}", [ious[prompt]]


def answered(found: Segmentation, truth: Truth, *, predicted: bool) -> Iterator[tuple[str, list[float]]]:
    """IoUs of the answers to one prompt of each kind for each mask, without the decoder and with it."""
    rng = np.random.default_rng(len(truth.masks))
    boxes = {"box": truth.boxes, "moved": moved(truth.boxes, rng)}
    points = {
        "centre": np.array([interior_point(mask) for mask in truth.masks]),
        "anywhere": np.array([any_point(mask, rng) for mask in truth.masks]),
    }
    overlay = Overlay(truth.masks, found.image_size)
    assert found.candidates is not None
    plain = replace(found, candidates=replace(found.candidates, closer=None))
    for name, each in (("without", plain), ("with", found)):
        answers = {kind: each.box_prompt(asked) for kind, asked in boxes.items()}
        answers |= {kind: each.point_prompt(asked[:, None]) for kind, asked in points.items()}
        for kind, answer in answers.items():
            ious = best_by_prompt(answer, len(truth.masks), overlay)
            yield f"{kind} {name}", ious[~truth.crowd].tolist()
            if predicted and plain is not each:
                yield from by_prediction(kind, answer, ious, truth.crowd)


def corrected(found: Segmentation, mask: Mask, kinds: list[str]) -> Iterator[tuple[str, list[list[float]]]]:
    """The IoUs of the answer to a first prompt of each kind, and after each correction."""
    for kind in kinds:
        first = FIRST[kind]
        yield kind, [corrected_ious(found, mask, first and first(mask))]


def measured(model: FastSAM, options: argparse.Namespace) -> Iterator[tuple[str, list[Any]]]:
    """What is measured of each photo, or of each object that is chosen."""
    chosen = itertools.count()
    for found, truth in photos(model, options):
        if options.corrections is None:
            yield from answered(found, truth, predicted=options.predicted)
            continue
        for mask, is_crowd in zip(truth.masks, truth.crowd, strict=True):
            if not is_crowd and mask.area >= options.least and next(chosen) % options.every == 0:
                yield from corrected(found, mask, options.corrections or list(FIRST))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of train_validation")
    parser.add_argument(
        "--photos", type=int, nargs=2, default=(0, 60), metavar=("FIRST", "END"), help="from 0, END left out"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--corrections",
        nargs="*",
        choices=FIRST,
        metavar="KIND",
        help=f"measure points that correct the answer to {', '.join(FIRST)}; to all of them if none is named",
    )
    parser.add_argument("--least", type=int, default=0, help="smallest area of what is corrected, in pixels")
    parser.add_argument("--every", type=int, default=1, help="of what is corrected only every so many-th object")
    parser.add_argument("--predicted", action="store_true", help="tell the answers by the IoU that was expected, too")
    options = parser.parse_args()
    ious: dict[str, list[Any]] = {}
    for kind, each in measured(FastSAM(options.model, threads=options.threads), options):
        ious.setdefault(kind, []).extend(each)
    for kind, each in sorted(ious.items()) if options.predicted else ious.items():
        print(f"{kind:16}", *(f"{value:.4f}" for value in np.atleast_1d(np.mean(each, 0))), f"({len(each)})")


if __name__ == "__main__":
    main()
