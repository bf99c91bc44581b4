"""What one machine answers against what another one does: the same networks, the same photos.

    python tools/compare_machines.py write here.npz --photos FOLDER [--model FILE ...]      # on each machine
    python tools/compare_machines.py compare here.npz there.npz

Writes what the network itself gives (best score, boxes, prototypes) and what a call makes of it, for the bundled model
and others. Compares them: how far scores and prototypes differ, how many objects there are, and for pairs of masks
(the highest IoU first) their IoU, boxes and scores. Threads do not matter; it uses one.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.images.load import load_image
from fastsam_onnx.network.network import Network
from fastsam_onnx.weights.bundled import bundled_model

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
        write(options.file, [bundled_model(), *options.model], photos, options.conf)
    return 0


def write(target: Path, models: Sequence[Path], photos: Sequence[Path], conf: float | None) -> None:
    """Everything under the name model/photo/what."""
    machine = f"{platform.machine()}, {platform.system()}, ONNX Runtime {onnxruntime.__version__}"
    arrays = {"machine": np.array(machine)}
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
                "masks": np.packbits(found.masks.dense().reshape(len(found), -1), axis=1),
                "size": np.array(found.image_size),
            }
            arrays.update({f"{path.name}/{photo.name}/{name}": value for name, value in answer.items()})
    np.savez_compressed(target, **arrays)


def compare(first: Path, second: Path) -> None:
    with np.load(first) as here, np.load(second) as there:
        print(f"{first.name}: {here['machine']}\n{second.name}: {there['machine']}\n")
        names = sorted({key.rsplit("/", 2)[0] for key in here.files if "/" in key})
        print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        for name in names:
            photos = sorted({key.split("/")[1] for key in here.files if key.startswith(f"{name}/")})
            prefixes = [f"{name}/{photo}" for photo in photos]
            print(row(name, [(answers(here, prefix), answers(there, prefix)) for prefix in prefixes]))


def answers(file: np.lib.npyio.NpzFile, prefix: str) -> dict[str, np.ndarray]:
    names = ("raw_scores", "prototypes", "boxes", "scores", "masks", "size")
    return {name: file[f"{prefix}/{name}"] for name in names}


def segmentation(answer: dict[str, np.ndarray]) -> Segmentation:
    width, height = (int(side) for side in answer["size"])
    dense = np.unpackbits(answer["masks"], axis=1, count=width * height).reshape(-1, height, width).astype(bool)
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


if __name__ == "__main__":
    sys.exit(main())
