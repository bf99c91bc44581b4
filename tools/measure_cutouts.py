"""Measures soft cut-outs where the truth is known: shapes of one photo in front of another.

    python -m tools.measure_cutouts --data FOLDER [--cases 100] [--choose]

FOLDER holds train_photos640. Each case is a part of one photo, in a shape whose edge covers its pixels in part, before
a part of another photo, as a JPEG; the mask is the shape's, moved by a smooth field of some pixels. It is cut out and
pasted onto a third photo. The figures are means over the cases, within three pixels of both edges: by how much the
shares are wrong (0 to 1), and the colours of what is pasted (0 to 1). Parameters are chosen with --choose, on cases
of other photos than those that are reported.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx.images.load import load_image
from fastsam_onnx.matting import matte
from tools import sets

Floats = npt.NDArray[np.float64]
SIDES = (96, 160, 240, 480)
ERRORS = (0.0, 0.7, 1.5)  # pixels of a shape of 160
FINER = 4  # times as many places as pixels, each way
QUALITIES = (75, 85, 95)
ARCHIVE, PHOTOS = "photos-002.tar", 160


class Case(NamedTuple):
    """A photo with an object, what is known of it, and what it is pasted onto."""

    photo: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    shares: Floats
    front: Floats
    other: Floats
    error: float


def read_photos(folder: Path, *, choosing: bool) -> list[Floats]:
    """(H, W, 3) BGR from 0 to 1: the first PHOTOS of ARCHIVE to choose on, the next as many to report."""
    first = 0 if choosing else PHOTOS
    files = itertools.islice(sets.photos_of(folder / ARCHIVE), first, first + PHOTOS)
    return [load_image(file)[..., ::-1] / 255 for _, file in files]


def part(photos: list[Floats], side: int, rng: np.random.Generator) -> Floats:
    """A square of a photo."""
    photo = photos[rng.integers(len(photos))]
    seen = min(*photo.shape[:2], side)
    top, left = (int(rng.integers(length - seen + 1)) for length in photo.shape[:2])
    return np.asarray(cv2.resize(photo[top : top + seen, left : left + seen], (side, side)), np.float64)


def shape(side: int, rng: np.random.Generator) -> Floats:
    """(side, side) shares of a star or, more often, a smooth blob."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 40)))
    radii = rng.uniform(0.22, 0.46, angles.size) * side
    if rng.random() < 0.6:
        around = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        waves = np.fft.fft(np.interp(around, angles, radii, period=2 * np.pi))
        angles, radii = around, np.fft.ifft(waves * (np.abs(np.fft.fftfreq(200)) * 200 < rng.integers(4, 14))).real
    corners = side / 2 + np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    fine = cv2.fillPoly(np.zeros((FINER * side,) * 2, np.float64), [np.rint(corners * FINER).astype(np.int32)], 1)
    shares = np.asarray(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), np.float64)
    width = float(rng.choice([0, 0.5, 0.8, 1.2]))
    return blurred(shares, width) if width else shares


def moved(shares: Floats, pixels: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The mask of a shape whose places are moved by a smooth field."""
    side = len(shares)
    fields = rng.normal(0, pixels, (2, side // 16, side // 16)).astype(np.float32)
    right, down = (cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC) for field in fields)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    return cv2.remap(shares, columns + right, rows + down, cv2.INTER_LINEAR) > 0.5


def make_case(photos: list[Floats], rng: np.random.Generator) -> Case:
    side, error = int(rng.choice(SIDES)), float(rng.choice(ERRORS))
    front, back, other = (part(photos, side, rng) for _ in range(3))
    shares = shape(side, rng)
    photo = np.rint(255 * composed(front, back, shares)).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.choice(QUALITIES))]
    stored = load_image(cv2.imencode(".jpg", photo, quality)[1].tobytes())[..., ::-1]
    return Case(stored, moved(shares, error * side / 160, rng), shares, front, other, error)


def composed(front: Floats, back: Floats, shares: Floats) -> Floats:
    return front * shares[..., None] + back * (1 - shares[..., None])


def blurred(shares: Floats, deviation: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(shares, (0, 0), deviation), np.float64)


def softly(case: Case) -> tuple[Floats, Floats]:
    found = matte(case.mask, case.photo[..., ::-1]) / 255
    return found[..., 3], found[..., 2::-1]


WAYS: dict[str, Callable[[Case], tuple[Floats, Floats]]] = {
    "at pixels": lambda case: (case.mask.astype(float), case.photo / 255),
    "blurred": lambda case: (blurred(case.mask.astype(float), 0.6), case.photo / 255),
    "soft": softly,
}


def errors(case: Case, way: Callable[[Case], tuple[Floats, Floats]]) -> tuple[float, float]:
    """Mean errors of the shares, and of the colours of what is pasted, near the edges."""
    shares, colours = way(case)
    mixed = ((case.shares > 0) & (case.shares < 1)) | (case.mask != (case.shares > 0.5))
    near = cv2.dilate(mixed.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    pasted, truth = composed(colours, case.other, shares), composed(case.front, case.other, case.shares)
    return float(np.abs(shares - case.shares)[near].mean()), float(np.abs(pasted - truth)[near].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds train_photos640")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--choose", action="store_true", help="the cases to choose on, not those to report")
    options = parser.parse_args()
    rng = np.random.default_rng(0 if options.choose else 1)
    photos = read_photos(sets.folder_of(options.data, "train_photos640"), choosing=options.choose)
    cases = [make_case(photos, rng) for _ in range(options.cases)]
    print("| mask off by, pixels of 160 | " + " | ".join(f"{name}: shares, colours" for name in WAYS) + " |")
    print("| --- " * (1 + len(WAYS)) + "|")
    for error in ERRORS:
        means = [np.mean([errors(case, way) for case in cases if case.error == error], axis=0) for way in WAYS.values()]
        print(f"| {error:g} | " + " | ".join(f"{shares:.3f}, {colours:.3f}" for shares, colours in means) + " |")


if __name__ == "__main__":
    main()
