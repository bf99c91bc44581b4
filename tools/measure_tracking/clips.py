"""Clips whose truth is known: objects of photos that move over another photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask
from fastsam_onnx.images.load import load_image
from tools.evaluate.truth import CHOOSING_SET, read_set
from tools.sets import folder_of

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Placed = tuple[npt.NDArray[np.bool_], int, int]

KINDS = ("crossing", "hidden", "shake", "turns")
RATES = (25, 10)
SIZE = (640, 480)
SECONDS = 3.0
OBJECTS = 8
SIDES = (24, 160)
VISIBLE = 0.3
FEWEST_PIXELS = 64


@dataclass(frozen=True)
class Piece:
    """The pixels of an object, (h, w, 3) uint8, and its mask, (h, w) bool."""

    pixels: ByteArray
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Path2D:
    """Where an object is: (t,) seconds to its centre and its scale."""

    start: FloatArray
    velocity: FloatArray
    turns: tuple[float, ...] = ()
    growth: float = 0.0

    def at(self, seconds: float) -> tuple[FloatArray, float]:
        place, direction, last = self.start.copy(), 1.0, 0.0
        for turn in (*self.turns, np.inf):
            end = min(turn, seconds)
            place = place + direction * self.velocity * (end - last)
            if seconds <= turn:
                break
            last, direction = turn, -direction
        return place, float(np.exp(self.growth * seconds))


@dataclass(frozen=True)
class Clip:
    """A clip and its truth.

    Attributes:
        kind: One of KINDS.
        rate: Frames per second.
        truths: For each frame the visible masks by the number of their object, and the share that is visible.
        draw: Picture of a frame by its index.
    """

    kind: str
    rate: int
    truths: list[dict[int, tuple[Mask, float]]]
    draw: Callable[[int], ByteArray]


def pieces(data: Path, *, choosing: bool) -> list[Piece]:
    """Objects of annotated photos: of train_validation to choose on, of coco_val to report."""
    name = CHOOSING_SET if choosing else "coco_val"
    found = []
    for photo in read_set(data / name):
        image = load_image(photo.source)
        [truth] = photo.truths[name]
        for mask, crowd in zip(truth.masks, truth.crowd, strict=True):
            tight = mask.tight()
            sides = tight.crop.shape
            if not crowd and SIDES[0] <= min(sides) and max(sides) <= SIDES[1] and tight.area > 0.35 * np.prod(sides):
                found.append(Piece(image[tight.slices].copy(), tight.crop))
    return found


def backgrounds(data: Path, *, choosing: bool) -> Sequence[Path | bytes]:
    """Photos: of train_validation to choose on, every other one of dense to report."""
    if choosing:
        return [photo.source for photo in read_set(data / CHOOSING_SET)]
    return sorted((folder_of(data, "dense") / "images").glob("*.jpg"))[1::2]


def clips(data: Path, count: int, *, choosing: bool) -> Iterator[Clip]:
    """`count` clips of each kind, each at every rate."""
    objects, photos = pieces(data, choosing=choosing), backgrounds(data, choosing=choosing)
    for number, kind in enumerate(KINDS):
        for index in range(count):
            for rate in RATES:
                rng = np.random.default_rng([int(choosing), number, index])
                yield make_clip(kind, rate, objects, photos[int(rng.integers(len(photos)))], rng)


def make_clip(kind: str, rate: int, objects: Sequence[Piece], photo: Path | bytes, rng: np.random.Generator) -> Clip:
    chosen = [objects[index] for index in rng.choice(len(objects), OBJECTS, replace=False)]
    routes = routes_of(kind, rng)
    bar = bar_of(rng) if kind == "hidden" else None
    trembling = rng.normal(0, 5, (1000, 2)) if kind == "shake" else np.zeros((1000, 2))
    shifts = np.round((trembling + np.roll(trembling, 1, axis=0)) / 2).astype(np.int64)
    things = list(zip(chosen, routes, strict=True))

    def shift_at(index: int) -> IntArray:
        return np.asarray(shifts[round(index * RATES[0] / rate)])

    def draw(index: int) -> ByteArray:
        return picture(photo, things, index / rate, shift_at(index), bar)

    frames = [
        [placed(piece, way, index / rate, shift_at(index)) for piece, way in things]
        for index in range(round(SECONDS * rate))
    ]
    truths = [visible(masks, bar) for masks in frames]

    return Clip(kind, rate, truths, draw)


def routes_of(kind: str, rng: np.random.Generator) -> list[Path2D]:
    """The first two objects stand still; the others move, by 40 to 170 pixels a second."""
    width, height = SIZE
    routes: list[Path2D] = []
    for index in range(OBJECTS):
        place = rng.uniform((60, 60), (width - 60, height - 60))
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(40, 170)
        velocity = speed * np.array([np.cos(angle), np.sin(angle)])
        growth = rng.uniform(-0.08, 0.08)
        if index < 2:
            routes.append(Path2D(place, np.zeros(2)))
        elif kind == "crossing" and index % 2:  # against the one before, which it meets half way
            before = routes[-1]
            velocity = -before.velocity * rng.uniform(0.7, 1.3)
            meeting = before.start + before.velocity * SECONDS / 2
            routes.append(Path2D(meeting - velocity * SECONDS / 2, velocity, growth=growth))
        elif kind == "hidden":
            velocity = np.array([np.sign(velocity[0]) * max(abs(velocity[0]), 60), 0.2 * velocity[1]])
            start = np.array([width / 2 - velocity[0] * SECONDS * rng.uniform(0.35, 0.65), place[1]])
            routes.append(Path2D(start, velocity, growth=growth))
        elif kind == "turns":
            routes.append(Path2D(place, velocity, tuple(np.sort(rng.uniform(0, SECONDS, 2))), growth))
        else:
            half_way = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * (width / 3, height / 3)
            routes.append(Path2D(half_way - velocity * SECONDS / 2, velocity, growth=growth))
    return routes


def bar_of(rng: np.random.Generator) -> tuple[int, int]:
    """First and end column of a bar that hides what passes."""
    wide = int(rng.uniform(40, 110))
    left = SIZE[0] // 2 - wide // 2
    return left, left + wide


def placed(piece: Piece, way: Path2D, seconds: float, shift: IntArray) -> Placed:
    """The mask of an object at its size, and its corner."""
    centre, scale = way.at(seconds)
    mask = cv2.resize(piece.mask.view(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    x, y = np.round(centre + shift - np.array(mask.shape[::-1]) / 2).astype(int)
    return mask.astype(bool), int(x), int(y)


def visible(masks: Sequence[Placed], bar: tuple[int, int] | None) -> dict[int, tuple[Mask, float]]:
    """What shows of the objects: the later lie before the earlier, the bar before all."""
    width, height = SIZE
    taken = np.zeros((height, width), bool)
    if bar is not None:
        taken[:, bar[0] : bar[1]] = True
    shown = {}
    for number in reversed(range(len(masks))):
        mask, left, top = masks[number]
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            continue
        inside = mask[y1 - top : y2 - top, x1 - left : x2 - left]
        seen = inside & ~taken[y1:y2, x1:x2]
        taken[y1:y2, x1:x2] |= inside
        area = int(seen.sum())
        share = area / mask.sum()
        if share >= VISIBLE and area >= FEWEST_PIXELS:
            shown[number] = (Mask(seen, x1, y1, SIZE).tight(), share)
    return shown


def picture(
    photo: Path | bytes,
    things: Sequence[tuple[Piece, Path2D]],
    seconds: float,
    shift: IntArray,
    bar: tuple[int, int] | None,
) -> ByteArray:
    width, height = SIZE
    margin = 24
    size = (width + 2 * margin, height + 2 * margin)
    whole = np.asarray(cv2.resize(load_image(photo), size, interpolation=cv2.INTER_AREA), np.uint8)
    dx, dy = np.clip(shift, -margin, margin).tolist()
    image = whole[margin - dy : margin - dy + height, margin - dx : margin - dx + width].copy()
    for piece, way in things:
        mask, left, top = placed(piece, way, seconds, shift)
        pixels = cv2.resize(piece.pixels, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            continue
        soft = cv2.GaussianBlur(np.pad(mask, 1).astype(np.float32), (3, 3), 0)[1:-1, 1:-1, None]
        inner = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        under = image[y1:y2, x1:x2]
        under[:] = np.round(soft[inner] * pixels[inner] + (1 - soft[inner]) * under)
    if bar is not None:
        image[:, bar[0] : bar[1]] = (96, 88, 80)
    return image
