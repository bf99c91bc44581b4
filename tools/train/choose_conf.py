"""Chooses the default score threshold of a network on train_validation: what one would show somebody.

    python -m tools.train.choose_conf weights/fastsam-nano.onnx --data ../shared/data

F1 weighs what is right against what is wrong, doubled or missed, as `tools.evaluate` counts it. Only objects are
annotated there, and what lies mostly outside them counts neither way; but with a higher threshold that goes, too. So
of the thresholds that keep KEEP of the best F1 the lowest is taken.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from fastsam_onnx import FastSAM
from fastsam_onnx.images.load import load_image
from tools.evaluate.overlay import Overlay
from tools.evaluate.truth import CHOOSING_SET, read_set
from tools.evaluate.verdicts import Verdicts

CONFS = (0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.18, 0.2, 0.25, 0.3, 0.4, 0.5)
KEEP = 0.95


def judge(model: FastSAM, data: Path, photos: int) -> tuple[dict[float, Verdicts], dict[float, float]]:
    """What is right, wrong and missed at each of CONFS, and the number of objects a photo."""
    verdicts: dict[float, Verdicts] = {conf: Verdicts() for conf in CONFS}
    objects = dict.fromkeys(CONFS, 0.0)
    chosen = list(itertools.islice(read_set(data / CHOOSING_SET), photos))
    for photo in chosen:
        found = model(load_image(photo.source), conf=min(CONFS))
        masks = list(found.masks)
        [truth] = photo.truths[CHOOSING_SET]
        overlay = Overlay(truth.masks, found.image_size)
        overlaps = overlay.iou(masks, truth.crowd)[:, ~truth.crowd]
        share = overlay.annotated_share(masks, truth.crowd)
        for conf in CONFS:
            kept = int(np.count_nonzero(found.scores > conf))  # they come best first
            verdicts[conf].add(overlaps[:kept], share[:kept])
            objects[conf] += kept / len(chosen)
    return verdicts, objects


def choose(f1: dict[float, float]) -> float:
    """The lowest threshold that keeps KEEP of the best F1."""
    return min(conf for conf, value in f1.items() if value >= KEEP * max(f1.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of train_validation")
    parser.add_argument("--photos", type=int, default=200, help="use the first so many")
    parser.add_argument("--refine", action=argparse.BooleanOptionalAction, help="the model's own by default")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    model = FastSAM(options.model, refine=options.refine, threads=options.threads)
    verdicts, objects = judge(model, options.data, options.photos)
    f1 = {conf: verdict.f1() or 0.0 for conf, verdict in verdicts.items()}
    for conf, value in f1.items():
        print(f"conf {conf}: F1 {value:.3f}, {objects[conf]:.1f} objects a photo")
    print(f"--conf {choose(f1)}")


if __name__ == "__main__":
    main()
