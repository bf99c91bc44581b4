"""How far one network finds the masks of another one, and how fast it is.

    python -m tools.agree FLOAT.onnx INT8.onnx --photos FOLDER --conf 0.25 --iou 0.7

Masks are those of `fastsam_onnx.agreement`, at the photos' own size; thresholds are the first network's own unless they
are given. Times are those of the network alone, in turns, median over the photos; where other work disturbs, the
CPU time of a whole call says more and is given beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from fastsam_onnx import FastSAM, Segmentation
from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.sources import is_picture_name
from fastsam_onnx.quantize.agreement import measure_agreement


def measured(model: FastSAM, image: Any, times: list[tuple[float, float]]) -> Segmentation:
    began = time.process_time()
    found = model(image)
    times.append((found.speed["network"], 1000 * (time.process_time() - began)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL", type=Path, nargs=2)
    parser.add_argument("--photos", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="photos at most")
    parser.add_argument("--conf", type=float)
    parser.add_argument("--iou", type=float)
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    photos = [path for path in sorted(options.photos.glob("*")) if is_picture_name(path)][: options.limit]
    if not photos:
        parser.error(f"no pictures in {options.photos}")
    thresholds = {"conf": options.conf, "iou": options.iou, "imgsz": options.imgsz}
    first = FastSAM(options.models[0], threads=options.threads, **thresholds)
    second = FastSAM(options.models[1], threads=options.threads, **first.options)
    times: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])

    def pairs() -> Any:
        for path in photos:
            image = load_image(path)
            yield measured(first, image, times[0]), measured(second, image, times[1])

    kept = measure_agreement(pairs())
    print(kept)
    wall, cpu = ([statistics.median(each[kind] for each in run) for run in times] for kind in (0, 1))
    print(f"network {wall[0]:.1f} ms and {wall[1]:.1f} ms: {wall[0] / wall[1]:.2f} times as fast")
    print(f"CPU time of a call {cpu[0]:.1f} ms and {cpu[1]:.1f} ms: {cpu[0] / cpu[1]:.2f}")
    print(json.dumps({"masks": kept.expected, "found": kept.found, "mean_iou": kept.mean_iou, "recall": kept.recall}))


if __name__ == "__main__":
    main()
