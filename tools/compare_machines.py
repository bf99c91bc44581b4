"""What one machine answers against what another one does: the same networks, the same photos.

    python -m tools.compare_machines write here.npz --photos FOLDER [--model FILE ...]      # on each machine
    python -m tools.compare_machines compare here.npz there.npz

Writes what the network itself gives (best score, boxes, prototypes), what a call makes of it, and the answers to
prompts at fixed places: points, corrected points, boxes and strokes; for the bundled models and others. Compares them:
how far scores and prototypes differ, how many objects there are, and for pairs of masks (the highest IoU first) their
IoU, boxes and scores; answers are compared prompt by prompt, one that only one machine gives counts as an IoU of 0.
Threads do not matter; it uses one.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.images.load import load_image
from fastsam_onnx.network.network import Network
from fastsam_onnx.weights.bundled import bundled_model, bundled_names

PAIR_IOU = 0.5
"""Masks below are not a pair."""
COLUMNS = (
    "network",
    "photos",
    "masks",
    "masks there",
    "pairs",
    "mean IoU",
    "least IoU",
    "same to the pixel",
    "scores",
    "boxes, px",
    "raw scores",
    "prototypes",
)
"""The last four are largest differences, of prototypes as a share of the largest number."""
PROMPT_COLUMNS = ("network", "prompts", "answers", "answers there", *COLUMNS[5:9])
PROMPTS = ("points", "corrected", "boxes", "strokes")
PLACES = (1 / 3, 2 / 3)
"""Of prompts, as shares of the photo's width and height."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    write_parser = commands.add_parser("write")
    write_parser.add_argument("file", metavar="FILE.npz", type=Path)
    write_parser.add_argument("--photos", metavar="FOLDER", type=Path, required=True)
    write_parser.add_argument("--limit", metavar="N", type=int, help="the first N photos")
    write_parser.add_argument("--model", metavar="FILE", type=Path, action="append", default=[], help="besides")
    write_parser.add_argument("--conf", type=float, help="score threshold (default: the files' own)")
    compare_parser = commands.add_parser("compare")
    compare_parser.add_argument("files", metavar="FILE.npz", type=Path, nargs=2)
    options = parser.parse_args(arguments)
    if options.command == "compare":
        compare(*options.files)
    else:
        photos = sorted(options.photos.glob("*.jpg"))[: options.limit]
        if not photos:
            parser.error(f"no *.jpg in {options.photos}")
        models = [*map(bundled_model, bundled_names()), *options.model]
        if len({path.name for path in models}) < len(models):
            parser.error("--model must be files of different names, and not of a bundled model's")
        write(options.file, models, photos, options.conf)
    return 0


def write(target: Path, models: Sequence[Path], photos: Sequence[Path], conf: float | None) -> None:
    """Everything under the name model/photo/what."""
    machine = f"{platform.machine()}, {platform.system()}, ONNX Runtime {onnxruntime.__version__}"
    arrays: dict[str, Any] = {"machine": np.array(machine)}
    for path in models:
        model, network = FastSAM(path, threads=1, conf=conf), Network.open(path, threads=1)
        for photo in photos:
            image = load_image(photo)
            letterbox = network.contract.letterbox((image.shape[1], image.shape[0]), model.options["imgsz"])
            [output] = network.run(letterbox.tensor(image))
            found = model(image)
            classes = network.contract.class_count
            answer = {
                "raw_scores": output.candidates[4 : 4 + classes].max(axis=0),
                "prototypes": output.prototypes,
                "boxes": found.boxes,
                "scores": found.scores,
                "masks": found.masks.dense(packed=True),
                "size": np.array(found.image_size),
            }
            for name, chosen in prompted(found).items():
                assert chosen.prompt_index is not None
                answer |= {f"{name}.index": chosen.prompt_index, f"{name}.scores": chosen.scores}
                answer |= {f"{name}.masks": chosen.masks.dense(packed=True)}
            arrays.update({f"{path.name}/{photo.name}/{name}": value for name, value in answer.items()})
    np.savez_compressed(target, **arrays)


def prompted(found: Segmentation) -> dict[str, Segmentation]:
    """The answers to four prompts of each kind, the same on every machine, whatever it found."""
    size = np.array(found.image_size)
    step = size // 10
    centres = (np.array([(x, y) for y in PLACES for x in PLACES]) * size).astype(np.int64)
    right, below = centres + step * (1, 0), centres + step * (0, 1)
    strokes = np.zeros((len(centres), size[1], size[0]), bool)
    for stroke, (x, y) in zip(strokes, centres, strict=True):
        stroke[y : y + 4, x - step[0] : x + step[0]] = True
    return {
        "points": found.point_prompt(centres[:, None]),
        "corrected": found.point_prompt(np.stack([centres, right, below], 1), [[1, 1, 0]] * len(centres)),
        "boxes": found.box_prompt(np.hstack([centres - step, centres + step])),
        "strokes": found.mask_prompt(strokes),
    }


def compare(first: Path, second: Path) -> None:
    with np.load(first) as here, np.load(second) as there:
        print(f"{first.name}: {here['machine']}\n{second.name}: {there['machine']}\n")
        if differing := sorted(answered(here) ^ answered(there)):
            raise SystemExit(f"write both files with the same photos and models: only one has {', '.join(differing)}")
        names = sorted({each.rsplit("/", 1)[0] for each in answered(here)})
        prefixes = {name: photos_of(here, name) for name in names}
        print(heading(COLUMNS))
        for name in names:
            print(row(name, [(answers(here, prefix), answers(there, prefix)) for prefix in prefixes[name]]))
        print(f"\n{heading(PROMPT_COLUMNS)}")
        for name in names:
            for kind in PROMPTS:
                asked = [f"{prefix}/{kind}" for prefix in prefixes[name]]
                print(prompt_row(name, kind, [(by_prompt(here, each), by_prompt(there, each)) for each in asked]))


def photos_of(file: np.lib.npyio.NpzFile, name: str) -> list[str]:
    """model/photo, for each photo of a model."""
    return sorted(each for each in answered(file) if each.startswith(f"{name}/"))


def answered(file: np.lib.npyio.NpzFile) -> set[str]:
    """model/photo, for all of them."""
    return {key.rsplit("/", 1)[0] for key in file.files if "/" in key}


def heading(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


def answers(file: np.lib.npyio.NpzFile, prefix: str) -> dict[str, np.ndarray]:
    names = ("raw_scores", "prototypes", "boxes", "scores", "masks", "size")
    return {name: file[f"{prefix}/{name}"] for name in names}


def by_prompt(file: np.lib.npyio.NpzFile, prefix: str) -> dict[int, tuple[np.ndarray, float]]:
    """Mask, eight pixels in a byte, and score of each prompt that was answered."""
    index, masks, scores = (file[f"{prefix}.{name}"] for name in ("index", "masks", "scores"))
    return {int(each): (mask, float(score)) for each, mask, score in zip(index, masks, scores, strict=True)}


def segmentation(answer: dict[str, np.ndarray]) -> Segmentation:
    width, height = (int(side) for side in answer["size"])
    dense = np.unpackbits(answer["masks"], axis=2, count=width).view(bool)
    masks = [Mask.from_dense(each) for each in dense]
    return Segmentation.from_masks(masks, answer["scores"], answer["boxes"], image_size=(width, height))


def pairs(first: Segmentation, second: Segmentation) -> list[tuple[float, int, int]]:
    """(IoU, index here, index there), each mask once, the highest IoU first."""
    others = list(enumerate(second.masks))
    overlaps = [(mask.iou(other), here, there) for here, mask in enumerate(first.masks) for there, other in others]
    paired: list[tuple[float, int, int]] = []
    for overlap, here, there in sorted(overlaps, reverse=True):
        if overlap >= PAIR_IOU and all(here != one and there != two for _, one, two in paired):
            paired.append((overlap, here, there))
    return paired


def row(name: str, photos: Sequence[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]) -> str:
    ious, scores, boxes, totals = [], [0.0], [0.0], [0, 0]
    for answer, other in photos:
        first, second = segmentation(answer), segmentation(other)
        totals[0] += len(first)
        totals[1] += len(second)
        for iou, here, there in pairs(first, second):
            ious.append(iou)
            scores.append(float(abs(first.scores[here] - second.scores[there])))
            boxes.append(float(np.abs(first.boxes[here] - second.boxes[there]).max()))
    raw = max(float(np.abs(a["raw_scores"] - b["raw_scores"]).max()) for a, b in photos)
    far = max(float(np.abs(a["prototypes"] - b["prototypes"]).max() / np.abs(a["prototypes"]).max()) for a, b in photos)
    cells = [name, str(len(photos)), str(totals[0]), str(totals[1]), str(len(ious))]
    cells += [f"{np.mean(ious):.5f}", f"{min(ious):.4f}", f"{sum(iou == 1 for iou in ious)}"] if ious else ["-"] * 3
    cells += [f"{max(scores):.1e}", f"{max(boxes):.3g}", f"{raw:.1e}", f"{far:.1e}"]
    return f"| {' | '.join(cells)} |"


def pixels(mask: np.ndarray) -> int:
    """How many there are in a mask of eight pixels in a byte."""
    return int(np.unpackbits(mask).sum())


Answers = dict[int, tuple[np.ndarray, float]]


def prompt_row(name: str, kind: str, photos: Sequence[tuple[Answers, Answers]]) -> str:
    ious, scores = [], [0.0]
    for first, second in photos:
        for asked in first.keys() | second.keys():
            if asked in first and asked in second:
                (mask, score), (other, other_score) = first[asked], second[asked]
                union = pixels(mask | other)
                ious.append(pixels(mask & other) / union if union else 1.0)
                scores.append(abs(score - other_score))
            else:
                ious.append(0.0)
    cells = [name, kind, *(str(sum(map(len, side))) for side in zip(*photos, strict=True))]
    cells += [f"{np.mean(ious):.5f}", f"{min(ious):.4f}", f"{sum(iou == 1 for iou in ious)}"] if ious else ["-"] * 3
    return f"| {' | '.join([*cells, f'{max(scores):.1e}'])} |"


if __name__ == "__main__":
    sys.exit(main())
