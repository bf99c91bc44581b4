"""Measure text prompts: does CLIP choose the right mask among those that a model finds?

    python -m tools.evaluate_text --clip clip-vit-b-32 --data ../shared/data/text_prompts
    python -m tools.evaluate_text --clip FOLDER --data ../shared/data/train_validation --styles all

A folder with prompts.json names the phrases, photos and annotations. Of a folder with photos-000.tar and
masks.jsonl.gz, train_validation, on which defaults are chosen, every label that occurs once in a photo is a phrase,
where its object covers 2 % to 85 % of the photo. Prints Markdown, a row for each crop style:

top-1       the share of phrases whose mask overlaps the object with an IoU of at least 0.5.
mean IoU    of the chosen mask and the object; no answer counts 0.
AUC         how well the best score of a photo tells a phrase whose object is there from one whose object is not (each
            photo with its own phrases and with those of the photos before it, of labels that it lacks): 1 always, 0.5
            not at all. For the cosine, and for the softmax over the masks; the threshold is on what does better.

Below are what the choice competes with, over the same masks: a random mask (its expectation), the largest mask, and the
best one, which no choice can beat.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import CropStyle, FastSAM, Mask
from fastsam_onnx.results.text_prompts import softmax
from tools import sets

HIT = 0.5
MIN_AREA = 100
ABSENT = 5
"""Phrases of other photos that each photo is asked for."""
STYLES = {
    "default": CropStyle(),
    "mean": CropStyle("mean"),
    "black": CropStyle("black"),
    "white": CropStyle("white"),
    "blur": CropStyle("blur"),
    "photo": CropStyle("photo"),
    "mean, middle cut out": CropStyle("mean", square=False),
    "black, middle cut out": CropStyle("black", square=False),  # what ultralytics shows CLIP
    "photo, middle cut out": CropStyle("photo", square=False),
    "mean, margin 0.15": CropStyle("mean", 0.15),
    "blur, margin 0.15": CropStyle("blur", 0.15),
    "photo, margin 0.15": CropStyle("photo", 0.15),
    "blur, margin 0.3": CropStyle("blur", 0.3),
    "photo, margin 0.3": CropStyle("photo", 0.3),
    "mean and photo": CropStyle(("mean", "photo")),
    "mean and blur": CropStyle(("mean", "blur")),
    "mean and photo, margin 0.15": CropStyle(("mean", "photo"), 0.15),
}


@dataclass(frozen=True)
class Phrase:
    """What is asked for, and what the answer should be."""

    text: str
    label: str
    truth: Mask


@dataclass(frozen=True)
class Photo:
    """A photo, its phrases, and the labels that are in it."""

    source: Path | bytes
    phrases: list[Phrase]
    labels: frozenset[str]


@dataclass(frozen=True)
class Answers:
    """Of one style: what was chosen for each phrase, and the best scores with and without the object."""

    ious: list[float]
    present: list[tuple[float, float]]
    absent: list[tuple[float, float]]


def main() -> int:
    options = parse_options()
    styles = {name: STYLES[name] for name in (STYLES if "all" in options.styles else options.styles)}
    answers = {name: Answers([], [], []) for name in styles}
    rivals: dict[str, list[float]] = {"random": [], "largest": [], "best": [], "random top-1": []}
    earlier: dict[str, str] = {}
    masks = []
    with FastSAM(options.model, clip=options.clip, conf=options.conf, threads=options.threads) as model:
        for number, photo in enumerate(photos_of(options.data, options.labels)):
            if number == options.limit:
                break
            found = model(photo.source)
            found = found[np.flatnonzero(found.areas > MIN_AREA)]
            masks.append(len(found))
            overlaps = [np.array([mask.iou(phrase.truth) for mask in found.masks]) for phrase in photo.phrases]
            compete(rivals, overlaps, found.areas)
            absent = [text for label, text in earlier.items() if label not in photo.labels][-ABSENT:]
            for name, style in styles.items():
                texts = [*(phrase.text for phrase in photo.phrases), *absent]
                cosines = found.text_scores(texts, templates=options.templates, min_area=MIN_AREA, crops=style)
                add_answers(answers[name], cosines, overlaps)
            earlier |= {phrase.label: phrase.text for phrase in photo.phrases}
            print(f"\r{number + 1} photos", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if not masks:
        raise SystemExit(f"{options.data} has no photo with a phrase that is asked for")
    print(markdown(answers, rivals, masks, options))
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", required=True, help="a name or a folder")
    parser.add_argument("--model", help="the bundled one by default")
    parser.add_argument("--conf", type=float)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--labels", nargs="+", help="only phrases of these labels")
    parser.add_argument("--styles", nargs="+", default=["default"], choices=["all", *STYLES], metavar="STYLE")
    parser.add_argument(
        "--templates", nargs="+", default=["{}"], help="sentences around the phrases, which begin with 'a photo of'"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=int, help="only so many photos")
    return parser.parse_args()


# ---------------------------------------------------------------------------------------- phrases


def photos_of(folder: Path, labels: list[str] | None) -> Iterator[Photo]:
    """The photos that have phrases left."""
    read = read_prompts if (folder / "prompts.json").is_file() else read_packed
    for photo in read(folder):
        phrases = [phrase for phrase in photo.phrases if labels is None or phrase.label in labels]
        if phrases:
            yield Photo(photo.source, phrases, photo.labels)


def read_prompts(folder: Path) -> Iterator[Photo]:
    """Prompts.json, whose paths begin in the folder above."""
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    files = {name: read_annotations(folder.parent / name) for name in {prompt["annotations"] for prompt in prompts}}
    by_photo: dict[str, list[dict[str, Any]]] = {}
    for prompt in prompts:
        by_photo.setdefault(prompt["image"], []).append(prompt)
    for image, group in by_photo.items():
        annotations, labels = files[group[0]["annotations"]]
        phrases = [
            Phrase(each["prompt"], each["category"], Mask.from_rle(annotations[each["annotation_id"]]["segmentation"]))
            for each in group
        ]
        yield Photo(folder.parent / image, phrases, labels[group[0]["image_id"]])


def read_annotations(path: Path) -> tuple[dict[int, Any], dict[int, frozenset[str]]]:
    """Annotations by their ids, and the labels of each photo."""
    content = json.loads(path.read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in content["categories"]}
    labels: dict[int, frozenset[str]] = {}
    for each in content["annotations"]:
        labels[each["image_id"]] = labels.get(each["image_id"], frozenset()) | {names[each["category_id"]]}
    return {each["id"]: each for each in content["annotations"]}, labels


def read_packed(folder: Path) -> Iterator[Photo]:
    """Photos in a tar, whose masks have labels."""
    for photo, record in sets.labelled(folder):
        size = record["width"] * record["height"]
        count = Counter(mask.get("label") for mask in record["masks"])
        phrases = [
            Phrase(f"a photo of a {mask['label']}", mask["label"], Mask.from_rle(mask["segmentation"]))
            for mask in record["masks"]
            if mask.get("label") and count[mask["label"]] == 1 and not mask.get("crowd")
            if 0.02 * size <= mask["area"] <= 0.85 * size
        ]
        yield Photo(photo, phrases, frozenset(label for label in count if label))


# ---------------------------------------------------------------------------------------- answers


def compete(rivals: dict[str, list[float]], overlaps: list[np.ndarray], areas: np.ndarray) -> None:
    for ious in overlaps:
        rivals["random"].append(float(ious.mean()) if ious.size else 0.0)
        rivals["random top-1"].append(float((ious >= HIT).mean()) if ious.size else 0.0)
        rivals["largest"].append(float(ious[areas.argmax()]) if ious.size else 0.0)
        rivals["best"].append(float(ious.max()) if ious.size else 0.0)


def add_answers(answers: Answers, cosines: np.ndarray, overlaps: list[np.ndarray]) -> None:
    """Add those of one photo.

    Args:
        answers: Of one style.
        cosines: (texts, n) of the photo's phrases, then of those whose object is absent.
        overlaps: For each phrase (n,) the IoU of every mask with its object.
    """
    shares = softmax(cosines)
    for row, ious in enumerate(overlaps):
        answers.ious.append(float(ious[cosines[row].argmax()]) if ious.size else 0.0)
    if cosines.shape[1]:
        best = [(float(cosine.max()), float(share.max())) for cosine, share in zip(cosines, shares, strict=True)]
        answers.present.extend(best[: len(overlaps)])
        answers.absent.extend(best[len(overlaps) :])


def auc(present: list[float], absent: list[float]) -> float:
    """The probability that one with is above one without; ties count half."""
    if not present or not absent:
        return float("nan")
    difference = np.subtract.outer(present, absent)
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def top_1(ious: list[float]) -> float:
    return float(np.mean([iou >= HIT for iou in ious]))


def markdown(
    answers: dict[str, Answers], rivals: dict[str, list[float]], masks: list[int], options: argparse.Namespace
) -> str:
    count = len(rivals["best"])
    lines = [
        f"{count} phrases in {len(masks)} photos of {options.data.name}, {np.mean(masks):.0f} masks a photo, "
        f"CLIP {Path(options.clip).name}, templates {', '.join(options.templates)}",
        "",
        "| crops | top-1 | mean IoU | AUC, cosine | AUC, softmax |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, each in answers.items():
        cosine, share = (auc([pair[i] for pair in each.present], [pair[i] for pair in each.absent]) for i in (0, 1))
        scores = f"{top_1(each.ious):.3f} | {np.mean(each.ious):.3f} | {cosine:.3f} | {share:.3f}"
        lines.append(f"| {name} | {scores} |")
    lines += ["", "| without CLIP | top-1 | mean IoU |", "| --- | --- | --- |"]
    lines.append(f"| a random mask | {np.mean(rivals['random top-1']):.3f} | {np.mean(rivals['random']):.3f} |")
    for name in ("largest", "best"):
        lines.append(f"| the {name} mask | {top_1(rivals[name]):.3f} | {np.mean(rivals[name]):.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
