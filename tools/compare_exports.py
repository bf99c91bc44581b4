"""Compare this package with ultralytics over many exports: a line for each file, all photos together.

    python -m tools.compare_exports --photos PHOTO [PHOTO ...] --models FILE.onnx [FILE.onnx ...] > out.md

Prints Markdown: objects of both, pairs, pairs of one class, the largest differences of scores and of boxes (in pixels
of the photo), the least and the mean IoU of their masks. `max_det` is large, so that neither cuts off. It needs what
`tools/compare.py` needs, by which photos are compared; a file with a batch of its own gets copies of the photo. From a
file with NMS inside ours takes the rows as they are (iou 1 within each class), as ultralytics does.

Where scores are saturated, equal ones make NMS a matter of order, which is not defined; and where a photo's padding is
not a whole number of the prototypes' cells, ultralytics cuts masks half a cell off: photos without either show what
is to be shown (640 px wide and 4:3, or 16:9 and a multiple of 8 px high after resizing).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import FastSAM
from tools import compare

HEAD = "| file | objects: ultralytics | ours | pairs | of one class | score | box, px | least IoU | mean IoU |"


def main() -> int:
    options = parse_options()
    photos = [compare.read_photo(path) for path in options.photos]
    print(f"conf {options.conf}, iou {options.iou}, {len(photos)} photos\n\n{HEAD}\n|{' --- |' * 9}", flush=True)
    for path in options.models:
        try:
            print(f"| {path.stem} | {row(path, photos, options)} |", flush=True)
        except Exception as error:  # a line for each file, whatever happens
            print(f"| {path.stem} | {type(error).__name__}: {str(error)[:200]} |" + " |" * 7, flush=True)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare this package with ultralytics over many exports.")
    parser.add_argument("--models", required=True, type=Path, nargs="+")
    parser.add_argument("--photos", required=True, type=Path, nargs="+")
    parser.add_argument("--conf", type=float, default=0.4)
    parser.add_argument("--iou", type=float, default=0.7)
    parser.add_argument("--max-det", type=int, default=1000)
    return parser.parse_args()


def row(path: Path, photos: list[Any], options: argparse.Namespace) -> str:
    """The cells of a file."""
    with FastSAM(path, threads=1) as model:
        contract, imgsz = model.contract, model.options["imgsz"]
    settings = argparse.Namespace(
        model=path, conf=options.conf, iou=options.iou, imgsz=imgsz, max_det=options.max_det, threads=1,
        border_snap=False, batch=contract.batch or 1, nms_inside=contract.nms_inside,
    )  # fmt: skip
    theirs, ours = compare.open_ultralytics(settings), compare.open_ours(settings)
    return cells([compared(photo, theirs, ours) for photo in photos])


def compared(photo: Any, theirs: Callable[[Any], Any], ours: Callable[[Any], Any]) -> Any:
    first, second = theirs(photo), ours(photo)
    return compare.Comparison("", photo.shape[1], photo.shape[0], first, second, compare.match(first, second))


def cells(comparisons: list[Any]) -> str:
    pairs = [(each, pair) for each in comparisons for pair in each.pairs]
    alike = sum(each.theirs.labels[pair.theirs] == each.ours.labels[pair.ours] for each, pair in pairs)
    counts = [sum(len(getattr(each, tool).scores) for each in comparisons) for tool in ("theirs", "ours")]
    numbers = [str(count) for count in (*counts, len(pairs), alike)]
    if not pairs:
        return " | ".join([*numbers, *["-"] * 4])
    score, box = (max(getattr(pair, name) for _, pair in pairs) for name in ("score_difference", "box_difference"))
    ious = [pair.mask_iou for _, pair in pairs]
    return " | ".join([*numbers, f"{score:.1e}", f"{box:.4f}", f"{min(ious):.4f}", f"{statistics.fmean(ious):.5f}"])


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
