"""Measure a model on photos with ground truth.

    python -m tools.evaluate --model weights/fastsam-nano.onnx --data FOLDER --json out.json > out.md
    python -m tools.evaluate --baseline felzenszwalb --data FOLDER      # needs scikit-image

FOLDER holds the sets coco_val (COCO instances and stuff), dense (all panoptic segments) and bsds_test
(human partitions), and train_validation, on which defaults are chosen, never on the others. Everything is
class-agnostic. The figures:

AR@k        COCO's average recall: of the k best-scored objects a photo, the share of ground truths that
            are found, averaged over IoU 0.50:0.05:0.95, matched one to one as pycocotools does
            (useCats=0), by mask and by box. Small, medium and large are AR@1000 by mask of areas up to
            32^2, to 96^2 and above. The candidates are as in COCO's evaluation, nearly all (--conf 0.001,
            --max-det 1000), with the model's own NMS unless --iou or --recall-iou is given.
best        mean over the ground truths of the best IoU that any of these objects has with it.
box prompt  mean IoU of the answer to each ground truth's box, by `match` rule; no answer counts 0. "moved" is
            "candidate" with every edge moved at random, by a standard deviation of 5 % of the box's side.
            "corrections": "candidate" after one and after three more points, each of which lies deepest in what is
            missing, or in what is too much, whichever is deeper. The same of a point.
point       mean IoU of the answer to each ground truth's most interior point (the farthest from its
            edge), by `pick` rule; for "all" and "alternatives" the best of its rows counts, which is what a
            perfect choice would reach. "anywhere" is "candidate", or "alternatives", with a point drawn from all
            pixels of the ground truth. Prompts, masks per photo and time use the model's own thresholds.
F, R50      boundaries, bsds_test only: the edge map is the outlines of the masks, as strong as the best
            score there. F is the best over one threshold for the set (ODS), R50 the recall at a precision
            of at least 0.5. Edges match within 0.75 % of the diagonal, not one to one and without
            thinning: the figures lie well above those of the benchmark's own code and compare only with one
            another.

straight    of the outlines of all masks that a model finds at its own thresholds, the share that runs along the
            mask's own bounding box, the photo's frame left out; beside it the same of the ground truths. What
            is cut at a box has straight edges there; so has much that people made, and the share grows as other
            outlines become calmer and so shorter, and as more of the masks are small: a disc of 20 pixels has 0.30, one
            of 100 has 0.14. Hence "large", too: the same of masks of 96^2 pixels and more.
cut         what no truth explains of "straight": the part of all outlines that runs so on annotated ground, farther
            than 0.75 % of the diagonal from every annotated outline.

F1          of the masks found at the model's own thresholds: right are those that match a ground truth, one to one,
            with an IoU of at least 0.5; wrong are the others, but what lies mostly where nothing is annotated is
            neither, for nobody knows. Parts of an annotated object and doubles are wrong.
doubles     masks a photo, at the model's own thresholds, that have an IoU above 0.7 with a better one.

On bsds_test every human's partition is a ground truth of its own: the same objects are matched with each,
and recall is over all segments of all humans. Crowd regions are ignored as COCO does. ms is the median
time from the decoded photo to all masks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from tools.evaluate.answers import PROMPTS
from tools.evaluate.models import open_felzenszwalb, open_network
from tools.evaluate.recall import MAX_DETECTIONS
from tools.evaluate.tally import Tally, add_photo
from tools.evaluate.truth import CHOOSING_SET, SETS, read_set


def markdown(tallies: dict[str, Tally], title: str) -> str:
    """Two tables: recall, and the rest."""
    figures = {row: tally.figures() for row, tally in tallies.items()}
    recall = [
        "photos",
        "ground truths",
        *(f"AR@{limit}" for limit in MAX_DETECTIONS),
        "small",
        "medium",
        "large",
    ]
    recall += [*(f"box AR@{limit}" for limit in MAX_DETECTIONS), "best"]
    straight = ["straight", "straight, truth", "straight, large", "straight, large, truth", "cut"]
    rest = [*PROMPTS, "F1", "masks", "doubles", *straight, "ms", "F", "R50"]
    return "\n".join([title, "", *table(figures, recall), "", *table(figures, rest)])


def table(figures: dict[str, dict[str, float | None]], columns: list[str]) -> list[str]:
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row, values in figures.items():
        cells = [
            number(values.get(column), "AR" in column or column in ("small", "medium", "large")) for column in columns
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def number(value: float | None, percent: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if percent or value > 1 else f"{value:.3f}"


def main() -> int:
    options = parse_options()
    model = open_felzenszwalb(options) if options.baseline else open_network(options)
    tallies: dict[str, Tally] = defaultdict(Tally)
    for name in options.sets:
        for count, photo in enumerate(read_set(options.data / name)):
            if count == options.limit:
                break
            add_photo(photo, model, tallies, prompts=not options.no_prompts)
            print(f"\r{name} {count + 1}    ", end="", file=sys.stderr)
        if options.json:  # after every set, so that a run that is cut off leaves what it has
            rows = {row: tally.figures() for row, tally in tallies.items()}
            text = json.dumps({"model": model.name, "settings": model.settings, "rows": rows}, indent=1)
            options.json.write_text(text + "\n", encoding="utf-8")
    print(file=sys.stderr)
    title = f"{model.name}: {', '.join(f'{name} {value}' for name, value in model.settings.items())}"
    print(markdown(tallies, title))
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure a model on photos with ground truth.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="an ONNX file; the bundled model by default")
    which.add_argument("--baseline", choices=["felzenszwalb"], help="a classical segmentation instead of a network")
    parser.add_argument("--data", required=True, type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="+", choices=[*SETS, CHOOSING_SET], default=list(SETS))
    parser.add_argument("--imgsz", type=int, help="the model's own by default")
    parser.add_argument("--conf", type=float, default=0.001, help="of a network, for recall; prompts take its own")
    parser.add_argument("--iou", type=float, help="of NMS, everywhere; the model's own by default")
    parser.add_argument("--recall-iou", type=float, help="of NMS, for recall alone, such as 0.9, to have near doubles")
    parser.add_argument("--max-det", type=int, default=1000, help="for recall; prompts take 300")
    parser.add_argument("--no-prompts", action="store_true", help="leave out prompts, which take most of the time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only the first so many photos of each set")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    if options.baseline and (options.imgsz, options.iou, options.recall_iou) != (None, None, None):
        parser.error("--imgsz, --iou and --recall-iou are a network's; a --baseline has none")
    return options


if __name__ == "__main__":
    sys.exit(main())
