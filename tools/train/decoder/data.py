"""Prompts with their answers, made from photos with masks and from what the finished network finds in them.

Three kinds: a box around a mask that people drew, its edges moved at random, answered by that mask; a click into one,
with one of the candidates that hold it, answered by the mask at the click that is most like the candidate; and an
object that the network found, to be drawn anew, answered by the mask most like it.
For a click the promise is about the mask that was clicked: what people mean is what they drew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from fastsam_onnx import FastSAM, Mask
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.decoder import maps_of
from fastsam_onnx.masks.redraw import deepest_point
from fastsam_onnx.masks.views import SIDE, View

from ...evaluate.prompts import any_point, interior_point, moved
from ..data import TAUGHT_FOLDERS, labelled, recolour, sampling_weights, taught_records, unlabelled
from ..data import Photo as Named
from .corrections import number

MOST_CANDIDATES = 400
LEAST_SIDE = 8  # photo pixels
CLICKS = 0.45  # of the prompts, where people drew masks
OBJECTS = 0.5  # of the others are objects to be drawn anew
LIKELY = 0.05  # score of an object that may be drawn anew
AS_FOUND = 0.7  # IoU of an object and its answer: with 0.5 parts were drawn as the whole, twice
CENTRES = 0.5  # of the clicks lie deepest in the mask
EXACT = 0.5  # of all boxes are not moved
MOST_MOVED = 0.08  # largest standard deviation of a moved edge, in sides
TRIED = 4  # candidates of a click, one of which is drawn
ALIKE = 0.4  # IoU of a candidate and a mask that may be its answer
MIRRORED = 0.5
PROMPTS_A_VISIT = 12  # of one photo


@dataclass(frozen=True)
class Scene:
    """A photo, what the network found in it, and its masks: those that people drew first."""

    image: np.ndarray  # (H, W, 3) uint8
    candidates: Candidates
    masks: list[Mask]
    drawn: int  # number of masks that people drew


class Prompt(NamedTuple):
    """One prompt, ready for the decoder."""

    photo: np.ndarray  # (3, SIDE, SIDE) float32
    maps: np.ndarray
    answer: np.ndarray  # (SIDE, SIDE) float32, 0 to 1
    meant: np.ndarray  # (SIDE, SIDE) float32: the mask that the promise is about
    outside: np.float32  # cells of it that lie outside the view
    corrections: np.int64  # how often the answer is corrected before the decoder learns of it


def records(data: Path, taught: Sequence[Path]) -> Iterator[tuple[str, str, np.ndarray, list[Any], list[Any]]]:
    """Folder, name, pixels, drawn and taught masks (COCO's run lengths) of all training photos."""
    more = taught_records(taught)
    for pixels, record in labelled(data / "train_labelled"):
        yield "train_labelled", record["file"], pixels, record["masks"], more.get(record["file"], [])
    for folder in TAUGHT_FOLDERS:
        for name, pixels in unlabelled(data / folder):
            yield folder, name, pixels, [], more.get(name, [])


def decoded(runs: list[Any]) -> list[Mask]:
    """Masks that are large enough to ask for."""
    masks = [Mask.from_rle({"size": run["size"], "counts": run["counts"]}) for run in runs]
    return [mask for mask in masks if mask.area and min(mask.crop.shape) >= LEAST_SIDE]


def slim(candidates: Candidates) -> Candidates:
    """The best candidates, prototypes in half precision."""
    order = np.argsort(-candidates.scores, kind="stable")[:MOST_CANDIDATES]
    return Candidates(
        candidates.boxes_xywh[order],
        candidates.scores[order],
        candidates.labels[order],
        candidates.coefficients[order],
        candidates.prototypes.astype(np.float16),
        candidates.letterbox,
    )


def load_scenes(
    data: Path, model: FastSAM, taught: Sequence[Path], limit: int | None = None
) -> tuple[list[Scene], np.ndarray]:
    """All training photos with masks, and how often each is to be drawn (n,)."""
    scenes, names = [], []
    with ProcessPoolExecutor(1) as pool:
        for folder, name, pixels, drawn, found in records(data, taught):
            masks = [pool.submit(decoded, runs) for runs in (drawn, found)]
            image = np.ascontiguousarray(pixels)
            candidates = model(image, conf=0.9, redraw=False).candidates
            assert candidates is not None
            people, teacher = (future.result() for future in masks)
            if people or teacher:
                scenes.append(Scene(image, slim(candidates), people + teacher, len(people)))
                names.append(Named(name, image, 1.0, (), folder))
            if limit and len(scenes) == limit:
                break
    return scenes, sampling_weights(names)


def shaken(box_xyxy: np.ndarray, image_size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A box (4,), half of the time with edges moved at random, inside the photo.

    A view lies around its box: if that were always right, the decoder would learn that objects end there, straight.
    """
    box = box_xyxy.astype(np.float64)
    if rng.random() < EXACT:
        return box
    [x1, y1, x2, y2] = moved(box[None], rng, rng.uniform(0, MOST_MOVED))[0]
    return np.clip([x1, y1, max(x2, x1 + 2), max(y2, y1 + 2)], 0, (*image_size, *image_size))


def clicked(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A point of the mask: the deepest, or any."""
    return interior_point(mask) if rng.random() < CENTRES else any_point(mask, rng)


def box_prompt(scene: Scene, rng: np.random.Generator) -> Prompt | None:
    """A box around one of the masks that people drew: a box means all of a thing, with what lies on it."""
    mask = scene.masks[int(rng.integers(scene.drawn))]
    return prompt(scene, shaken(mask.box, mask.image_size, rng), mask, mask, corrections=number(rng))


def click_prompt(scene: Scene, rng: np.random.Generator) -> Prompt | None:
    """A click into one of the masks that people drew, and one of the candidates that hold it."""
    meant = scene.masks[int(rng.integers(scene.drawn))]
    point = clicked(meant, rng)
    found = scene.candidates
    hits = found.holding(np.array([point]), np.ones(1, bool))
    if not hits.size:
        return None
    index = int(hits[min(int(rng.integers(TRIED)), hits.size - 1)])
    box = shaken(found.boxes_xyxy[index], found.letterbox.image_size, rng)
    at_point = [mask for mask in scene.masks if mask.contains(*point)]
    [candidate] = found.masks(np.array([index]))
    drawn = candidate.render()
    overlaps = [drawn.iou(mask) for mask in at_point]
    if not overlaps or max(overlaps) < ALIKE:
        return None
    corrections = number(rng)  # towards what is meant, whatever the candidate is
    answer = meant if corrections else at_point[int(np.argmax(overlaps))]
    return prompt(scene, box, answer, meant, point=point, corrections=corrections)


def object_prompt(scene: Scene, rng: np.random.Generator) -> Prompt | None:
    """An object that the network found, asked about as the package does when it draws objects anew."""
    found = scene.candidates
    shares = np.where(found.scores > LIKELY, found.scores, 0).astype(np.float64)
    if not shares.any():
        return None
    index = int(rng.choice(shares.size, p=shares / shares.sum()))
    [candidate] = found.masks(np.array([index]))
    box = shaken(found.boxes_xyxy[index], found.letterbox.image_size, rng)
    view = View.around(box, found.letterbox)
    old = candidate.sample(*view.centres())
    if not old.any():
        return None
    point, drawn = deepest_point(old, view), candidate.render()
    at_point = [mask for mask in scene.masks if mask.contains(*point)]
    overlaps = [drawn.iou(mask) for mask in at_point]
    if not overlaps or max(overlaps) < AS_FOUND:
        return None
    answer = at_point[int(np.argmax(overlaps))]
    return prompt(scene, box, answer, answer, point=point)


def prompt(
    scene: Scene,
    box: np.ndarray,
    answer: Mask,
    meant: Mask,
    *,
    point: tuple[float, float] | None = None,
    corrections: int = 0,
) -> Prompt | None:
    """What the decoder gets and is asked for: a box, or with ``point`` a click and the box of a candidate."""
    found = scene.candidates
    [question] = found.questions(box[None], asked=point is None)
    if not len(question.coefficients):
        return None
    if point is not None:
        question = question.clicked([point], np.ones(1, bool))
    view = View.around(box, found.letterbox)
    known = maps_of(view, found.prototypes, question)
    wanted = view.shares(answer)
    other = wanted if meant is answer else view.shares(meant)
    return Prompt(view.photo(scene.image), known, wanted, other, outside(meant, view), np.int64(corrections))


def outside(mask: Mask, view: View) -> np.float32:
    """The area of a mask outside a view, in cells."""
    (left, right), (top, bottom) = view.columns, view.rows
    pixels = mask.area - mask.area_inside(left, top, right, bottom)
    return np.float32(pixels * SIDE * SIDE / ((right - left) * (bottom - top)))


def mirrored(one: Prompt) -> Prompt:
    """The same, left and right exchanged."""
    turned = (np.ascontiguousarray(part[..., ::-1]) for part in (one.photo, one.maps, one.answer, one.meant))
    photo, maps, answer, meant = turned
    return Prompt(photo, maps, answer, meant, one.outside, one.corrections)


class Prompts(IterableDataset[tuple[Tensor, ...]]):
    """Batches without end."""

    def __init__(
        self,
        scenes: list[Scene],
        weights: np.ndarray,
        batch: int,
        seed: int,
        *,
        clicks: float = CLICKS,
        objects: float = OBJECTS,
    ) -> None:
        """``clicks``: share of the prompts where people drew; ``objects``: of the others. All where nobody drew."""
        self.scenes, self.weights, self.batch, self.seed = scenes, weights, batch, seed
        self.clicks, self.objects = clicks, objects

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        waiting: list[Prompt] = []
        while True:
            waiting += self.visit(rng)
            if len(waiting) >= 20 * self.batch:  # of many photos, mixed
                order = rng.permutation(len(waiting))
                chosen, order = order[: 10 * self.batch], order[10 * self.batch :]
                for first in range(0, len(chosen), self.batch):
                    part = [waiting[index] for index in chosen[first : first + self.batch]]
                    yield tuple(torch.from_numpy(np.stack(arrays)) for arrays in zip(*part, strict=True))
                waiting = [waiting[index] for index in order]

    def visit(self, rng: np.random.Generator) -> list[Prompt]:
        """Some prompts about one photo."""
        scene = self.scenes[int(rng.choice(len(self.scenes), p=self.weights))]
        if rng.random() < 0.5:
            scene = Scene(recolour(scene.image, rng), scene.candidates, scene.masks, scene.drawn)
        prompts = []
        for _ in range(PROMPTS_A_VISIT):
            one = self.make(scene, rng)
            if one is not None:
                prompts.append(mirrored(one) if rng.random() < MIRRORED else one)
        return prompts

    def make(self, scene: Scene, rng: np.random.Generator) -> Prompt | None:
        """A prompt of one of the kinds, or none."""
        if scene.drawn and rng.random() < self.clicks:
            return click_prompt(scene, rng)
        if not scene.drawn or rng.random() < self.objects:
            return object_prompt(scene, rng)
        return box_prompt(scene, rng)
