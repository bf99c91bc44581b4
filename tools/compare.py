"""Compare this package with ultralytics: the same ONNX file, the same photos, the same settings.

    python -m tools.compare --model yolov8n-seg.onnx --photos FOLDER [FOLDER ...] --json out.json > out.md

Prints Markdown: a row per photo (counts, matched pairs, IoU of their masks, box difference, milliseconds),
what found no partner, the pairs of low IoU, and a summary.

It needs an environment that holds both: ultralytics with its dependencies, and this checkout on PYTHONPATH.
ultralytics is called as a user would, on the decoded array (BGR), so neither tool's reading of files counts.
A dynamic ONNX gives both the minimal rectangle. Times are each tool's own; ours counts making every mask as
post-processing, because ours are made when somebody looks at them. If torchvision runs with a NumPy NMS (a
shim on machines without a CPU wheel), ultralytics' post-processing is some milliseconds too slow.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import FastSAM
from fastsam_onnx.masks.mask import Mask
from tools.evaluate.overlay import box_iou

FloatArray = npt.NDArray[np.float32]
LOW_IOU = 0.95
PHASES = ("preprocess", "network", "postprocess")


@dataclass(frozen=True)
class Objects:
    """What one tool found in one photo.

    Attributes:
        boxes: (n, 4) float32 xyxy in image pixels.
        scores: (n,) float32.
        masks: One per box.
        labels: (n,) class indices.
        milliseconds: By phase, see PHASES.
    """

    boxes: FloatArray
    scores: FloatArray
    masks: list[Mask]
    labels: npt.NDArray[np.int64]
    milliseconds: dict[str, float]


@dataclass(frozen=True)
class Pair:
    """An object that both found: its rows, and how far apart the two answers are."""

    theirs: int
    ours: int
    mask_iou: float
    box_difference: float
    score_difference: float


@dataclass(frozen=True)
class Comparison:
    """One photo, both tools."""

    photo: str
    width: int
    height: int
    theirs: Objects
    ours: Objects
    pairs: list[Pair]

    @property
    def equal_counts(self) -> bool:
        return len(self.theirs.scores) == len(self.ours.scores)

    def alone(self) -> Iterator[tuple[str, float, FloatArray]]:
        """(tool, score, box) of every object without a partner."""
        paired = ({pair.theirs for pair in self.pairs}, {pair.ours for pair in self.pairs})
        for tool, objects, taken in zip(("ultralytics", "ours"), (self.theirs, self.ours), paired, strict=True):
            for row in range(len(objects.scores)):
                if row not in taken:
                    yield tool, float(objects.scores[row]), objects.boxes[row]


def main() -> int:
    options = parse_options()
    photos = list_photos(options.photos)[: options.limit]
    if not photos:
        raise SystemExit(f"no photos in {', '.join(map(str, options.photos))}")
    run_theirs, run_ours = open_ultralytics(options), open_ours(options)
    comparisons = []
    for number, path in enumerate(photos):
        comparisons.append(compare_photo(path, run_theirs, run_ours, options.repeats))
        print(f"\r{number + 1}/{len(photos)} {path.name}    ", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(markdown(comparisons, options))
    if options.json:
        options.json.write_text(json.dumps(as_json(comparisons, options), indent=1) + "\n", encoding="utf-8")
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare this package with ultralytics on the same ONNX file and photos."
    )
    parser.add_argument("--model", required=True, type=Path, help="an ONNX file of a YOLO segmentation network")
    parser.add_argument("--photos", required=True, type=Path, nargs="+", help="photos or folders of photos")
    parser.add_argument("--conf", type=float, default=0.25)
    parser.add_argument("--iou", type=float, default=0.7)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--max-det", type=int, default=300)
    parser.add_argument(
        "--border-snap", action="store_true", help="leave our border snap on (ultralytics has none here)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of our session; ultralytics takes its own default")
    parser.add_argument("--repeats", type=int, default=2, help="runs per photo and tool; the fastest counts")
    parser.add_argument("--limit", type=int, help="only the first so many photos")
    parser.add_argument("--json", type=Path, help="write everything here too")
    return parser.parse_args()


def list_photos(sources: list[Path]) -> list[Path]:
    suffixes = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
    found: list[Path] = []
    for source in sources:
        inside = (
            sorted(path for path in source.iterdir() if path.suffix.lower() in suffixes)
            if source.is_dir()
            else [source]
        )
        found.extend(inside)
    return found


def open_ours(options: argparse.Namespace) -> Callable[[npt.NDArray[np.uint8]], Objects]:
    """A function from a BGR array to what this package finds in it."""
    model = FastSAM(options.model, threads=options.threads)
    as_it_is = getattr(options, "nms_inside", False)

    def run(bgr: npt.NDArray[np.uint8]) -> Objects:
        found = model(
            bgr,
            channel_order="bgr",
            conf=options.conf,
            iou=1.0 if as_it_is else options.iou,
            agnostic=not as_it_is,
            imgsz=options.imgsz,
            max_det=options.max_det,
            border_snap=options.border_snap,
        )
        start = time.perf_counter()
        masks = list(found.masks)
        milliseconds = {phase: found.speed[phase] for phase in PHASES}
        milliseconds["preprocess"] += found.speed["decode"]  # of an array: only its channels are turned
        milliseconds["postprocess"] += 1000 * (time.perf_counter() - start)
        labels = np.zeros(len(found), np.int64) if found.labels is None else found.labels
        return Objects(found.boxes, found.scores, masks, labels, milliseconds)

    return run


def open_ultralytics(options: argparse.Namespace) -> Callable[[npt.NDArray[np.uint8]], Objects]:
    """A function from a BGR array to what ultralytics finds in it."""
    if "YOLO_CONFIG_DIR" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="compare-")
        atexit.register(folder.cleanup)
        os.environ["YOLO_CONFIG_DIR"] = folder.name
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    from ultralytics import YOLO  # it reads its environment when it is imported

    model = YOLO(str(options.model), task="segment")

    def run(bgr: npt.NDArray[np.uint8]) -> Objects:
        result = model.predict(
            [bgr] * getattr(options, "batch", 1),
            conf=options.conf,
            iou=options.iou,
            imgsz=options.imgsz,
            max_det=options.max_det,
            agnostic_nms=True,
            retina_masks=True,
            device="cpu",
            verbose=False,
        )[0]
        dense = [] if result.masks is None else result.masks.data
        speed = result.speed
        return Objects(
            result.boxes.xyxy.numpy(),
            result.boxes.conf.numpy(),
            [Mask.from_dense(mask.numpy()) for mask in dense],
            result.boxes.cls.numpy().astype(np.int64),
            {
                "preprocess": speed["preprocess"],
                "network": speed["inference"],
                "postprocess": speed["postprocess"],
            },
        )

    return run


def compare_photo(
    path: Path,
    run_theirs: Callable[[npt.NDArray[np.uint8]], Objects],
    run_ours: Callable[[npt.NDArray[np.uint8]], Objects],
    repeats: int,
) -> Comparison:
    bgr = read_photo(path)
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(run_theirs(bgr))
        ours.append(run_ours(bgr))
    first, second = fastest(theirs), fastest(ours)
    return Comparison(path.name, bgr.shape[1], bgr.shape[0], first, second, match(first, second))


def read_photo(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, 3) BGR, as OpenCV decodes it."""
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photo is None:
        raise SystemExit(f"{path}: OpenCV cannot read it")
    return np.asarray(photo, np.uint8)


def fastest(runs: list[Objects]) -> Objects:
    """The last run with the least time of each phase over all runs."""
    least = {phase: min(run.milliseconds[phase] for run in runs) for phase in PHASES}
    return replace(runs[-1], milliseconds=least)


def match(theirs: Objects, ours: Objects) -> list[Pair]:
    """Pair the objects greedily, the most alike first: IoU of boxes times IoU of masks, above 0.1."""
    alike = box_iou(theirs.boxes, ours.boxes, np.zeros(len(ours.boxes), bool))
    mask_iou = np.zeros_like(alike)
    for i, j in np.argwhere(alike > 0.1):
        mask_iou[i, j] = theirs.masks[i].iou(ours.masks[j])
    alike = alike * mask_iou
    pairs = []
    while alike.size and alike.max() > 0.1:
        i, j = (int(index) for index in np.unravel_index(np.argmax(alike), alike.shape))
        alike[i, :] = alike[:, j] = 0
        pairs.append(
            Pair(
                i,
                j,
                float(mask_iou[i, j]),
                float(np.abs(theirs.boxes[i] - ours.boxes[j]).max()),
                float(abs(theirs.scores[i] - ours.scores[j])),
            )
        )
    return pairs


def summarise(comparisons: list[Comparison]) -> dict[str, Any]:
    pairs = [pair for comparison in comparisons for pair in comparison.pairs]
    equal = sum(comparison.equal_counts for comparison in comparisons)
    summary: dict[str, Any] = {
        "photos": len(comparisons),
        "photos_with_equal_counts": equal,
        "equal_counts_percent": 100 * equal / max(len(comparisons), 1),
        "objects_ultralytics": sum(len(comparison.theirs.scores) for comparison in comparisons),
        "objects_ours": sum(len(comparison.ours.scores) for comparison in comparisons),
        "pairs": len(pairs),
        "mean_mask_iou": statistics.fmean(pair.mask_iou for pair in pairs) if pairs else None,
        "min_mask_iou": min((pair.mask_iou for pair in pairs), default=None),
        f"pairs_below_{LOW_IOU}": sum(pair.mask_iou < LOW_IOU for pair in pairs),
        "max_box_difference_px": max((pair.box_difference for pair in pairs), default=None),
        "max_score_difference": max((pair.score_difference for pair in pairs), default=None),
    }
    for phase in PHASES:
        for tool in ("theirs", "ours"):
            times = [getattr(comparison, tool).milliseconds[phase] for comparison in comparisons]
            summary[f"{phase}_ms_{'ultralytics' if tool == 'theirs' else 'ours'}"] = statistics.median(times)
    return summary


def markdown(comparisons: list[Comparison], options: argparse.Namespace) -> str:
    lines = [
        f"{options.model.name}, conf {options.conf}, iou {options.iou}, imgsz {options.imgsz}, "
        f"max_det {options.max_det}, border snap {'on' if options.border_snap else 'off'}; "
        f"times in ms, least of {options.repeats}; u: ultralytics, o: ours",
        "",
        "| photo | size | objects u | objects o | pairs | mean IoU | min IoU | max box diff px "
        "| pre u | pre o | net u | net o | post u | post o |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(photo_row(comparison) for comparison in comparisons),
        "",
    ]
    lines += ["Without a partner:", "", *alone_lines(comparisons), ""]
    lines += [f"Pairs with a mask IoU below {LOW_IOU}:", "", *low_lines(comparisons), ""]
    lines += ["| summary | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {number(value)} |" for name, value in summarise(comparisons).items()]
    return "\n".join(lines)


def photo_row(comparison: Comparison) -> str:
    ious = [pair.mask_iou for pair in comparison.pairs]
    cells = [
        comparison.photo,
        f"{comparison.width}x{comparison.height}",
        str(len(comparison.theirs.scores)),
        str(len(comparison.ours.scores)),
        str(len(ious)),
        number(statistics.fmean(ious) if ious else None),
        number(min(ious, default=None)),
        number(max((pair.box_difference for pair in comparison.pairs), default=None)),
    ]
    for phase in PHASES:
        cells += [f"{objects.milliseconds[phase]:.1f}" for objects in (comparison.theirs, comparison.ours)]
    return f"| {' | '.join(cells)} |"


def alone_lines(comparisons: list[Comparison]) -> list[str]:
    lines = []
    for comparison in comparisons:
        for tool, score, box in comparison.alone():
            corners = ", ".join(f"{edge:.1f}" for edge in box)
            lines.append(f"- {comparison.photo}: only {tool}, score {score:.6f}, box {corners}")
    return lines or ["- none"]


def low_lines(comparisons: list[Comparison]) -> list[str]:
    lines = []
    for comparison in comparisons:
        for pair in comparison.pairs:
            if pair.mask_iou < LOW_IOU:
                areas = comparison.theirs.masks[pair.theirs].area, comparison.ours.masks[pair.ours].area
                score, box = comparison.ours.scores[pair.ours], comparison.ours.boxes[pair.ours]
                lines.append(
                    f"- {comparison.photo}: IoU {pair.mask_iou:.4f}, areas {areas[0]} and {areas[1]} px, "
                    f"score {score:.4f}, box {', '.join(f'{edge:.1f}' for edge in box)}"
                )
    return lines or ["- none"]


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.5f}"


def as_json(comparisons: list[Comparison], options: argparse.Namespace) -> dict[str, Any]:
    photos = []
    for comparison in comparisons:
        photos.append(
            {
                "photo": comparison.photo,
                "width": comparison.width,
                "height": comparison.height,
                "objects": {
                    "ultralytics": len(comparison.theirs.scores),
                    "ours": len(comparison.ours.scores),
                },
                "pairs": [asdict(pair) for pair in comparison.pairs],
                "alone": [[tool, score, box.tolist()] for tool, score, box in comparison.alone()],
                "milliseconds": {
                    "ultralytics": comparison.theirs.milliseconds,
                    "ours": comparison.ours.milliseconds,
                },
            }
        )
    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in ("photos", "json")
    }
    return {"settings": settings, "summary": summarise(comparisons), "photos": photos}


if __name__ == "__main__":
    sys.exit(main())
