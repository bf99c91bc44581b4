"""Measure soft edge maps as the Berkeley benchmark does (BSDS500): ODS, OIS, AP, R50.

    python -m tools.evaluate_edges --data ../shared/data/bsds_test
    python -m tools.evaluate_edges --data ../shared/data/bsds_test --baseline felzenszwalb
    python -m tools.evaluate_edges --data ../shared/data/train_labelled --limit 60 --thresholds 24    # to choose by

Needs SciPy and scikit-image. An edge map is cut at each threshold and thinned. Its pixels are matched one to one with
those of every human's boundaries, within 0.75 % of the diagonal. Precision is the share of its pixels that some
human's boundary takes, recall the share of all humans' pixels that are taken.

ODS         the best F of one threshold for all photos.
OIS         the F of the best threshold for each photo.
AP          the area below the curve of precision over recall.
R50         the recall at a precision of 0.5.

The matching is the shortest one, in which a boundary's pixel that stays alone costs 100 times the greatest distance
allowed: Berkeley's rule. Berkeley's code rounds distances and gives each pixel a few partners to stay alone with, drawn
at random; here it is solved exactly. A boundary lies where a pixel's right, lower or lower right neighbour belongs to
another segment, thinned.

train_labelled, on which constants are chosen, has segments of all humans together and says how many drew each: those
that at least one, two and three drew stand for three humans.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from skimage.morphology import thin
from skimage.segmentation import felzenszwalb

from fastsam_onnx import FastSAM, Mask
from fastsam_onnx.images.load import load_image
from tools import sets
from tools.evaluate.truth import partitions

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

TOLERANCE = 0.0075
"""Greatest distance of a pair of pixels, as a share of the photo's diagonal."""
ALONE = 100
"""Cost of a pixel without a partner, in greatest distances."""
SCALES = np.geomspace(20, 5_000, 12)
"""Felzenszwalb's observation scales, from many segments to few: they take the place of thresholds."""


@dataclass(frozen=True)
class Photo:
    """A photo as (H, W, 3) RGB, and the boundaries of every human, (H, W) bool each."""

    image: ByteArray
    humans: list[BoolArray]


def photos_of(folder: Path) -> Iterator[Photo]:
    if not (folder / "index.json").exists():
        yield from _training_photos(folder)
        return
    for path, humans in partitions(folder):
        yield Photo(load_image(path), [thin(outlines(labels)) for labels in humans])


def _training_photos(folder: Path) -> Iterator[Photo]:
    """Photos of BSDS among the training photos."""
    for photo, record in sets.labelled(folder):
        if record["file"].startswith("bsds_"):
            drawn = [(mask["humans"], outlines(Mask.from_rle(mask).dense())) for mask in record["masks"]]
            levels = [[one for humans, one in drawn if humans >= least] for least in (1, 2, 3)]
            yield Photo(load_image(photo), [thin(np.logical_or.reduce(level)) for level in levels if level])


def outlines(labels: npt.NDArray[Any]) -> BoolArray:
    """(H, W): pixels whose right, lower or lower right neighbour has another label."""
    edges = np.zeros(labels.shape, bool)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
    return edges


class Pairs:
    """The pixels of edges and of a human's boundaries that are near each other.

    They are found once for a photo and a human, and serve the edges of all thresholds.
    """

    def __init__(self, edges: BoolArray, truth: BoolArray) -> None:
        ours, theirs = np.argwhere(edges), np.argwhere(truth)
        self._reach = TOLERANCE * float(np.hypot(*edges.shape))
        pairs = cKDTree(theirs).sparse_distance_matrix(cKDTree(ours), self._reach, output_type="ndarray")
        self._theirs, self._ours, self._distances = pairs["i"], np.flatnonzero(edges)[pairs["j"]], pairs["v"]

    def matched(self, edges: BoolArray) -> BoolArray:
        """(k,): which of these k edge pixels, in row-major order, are matched one to one with the boundaries'."""
        flat = edges.reshape(-1)
        near = flat[self._ours]
        columns = (np.cumsum(flat) - 1)[self._ours[near]]
        theirs, rows = np.unique(self._theirs[near], return_inverse=True)
        taken = np.zeros(int(flat.sum()), bool)
        # To be alone is a partner too, one for each: so all have one, as SciPy asks. It also takes no costs of 0.
        alone = np.arange(len(theirs))
        costs = np.concatenate([1 + self._distances[near], np.full(len(theirs), 1 + ALONE * self._reach)])
        places = np.concatenate([rows, alone]), np.concatenate([columns, len(taken) + alone])
        graph = csr_array((costs, places), (len(theirs), len(taken) + len(theirs)))
        _, partners = min_weight_full_bipartite_matching(graph)
        taken[partners[partners < len(taken)]] = True
        return taken


def count(levels: Sequence[BoolArray], humans: Sequence[BoolArray]) -> FloatArray:
    """(levels, 4): edge pixels that some human has and all of them, humans' pixels that are found and all of them."""
    anywhere = np.logical_or.reduce(levels)
    near = [Pairs(anywhere, truth) for truth in humans]
    counts = np.zeros((len(levels), 4))
    for row, level in zip(counts, levels, strict=True):
        found = [pairs.matched(level) for pairs in near] if level.any() else [np.zeros(0, bool)]
        right = np.logical_or.reduce(found)
        row[:] = right.sum(), right.size, np.sum(found), sum(int(truth.sum()) for truth in humans)
    return counts


def rates(counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F of counts (..., 4)."""
    right, drawn, found, truth = np.moveaxis(counts, -1, 0)
    precision, recall = right / np.maximum(drawn, 1), found / np.maximum(truth, 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def summary(counts: FloatArray) -> dict[str, float]:
    """The figures of counts (photos, levels, 4)."""
    precision, recall, f = rates(counts.sum(axis=0))
    best = np.take_along_axis(counts, rates(counts)[2].argmax(axis=1)[:, None, None], axis=1)[:, 0]
    order = np.argsort(recall, kind="stable")
    grid = np.linspace(0, 1, 101)
    curve = np.interp(grid, recall[order], precision[order], left=0, right=0)
    at = int(f.argmax())
    good = recall[precision >= 0.5]
    over = np.argsort(precision, kind="stable")
    within = good.size and precision.min() < 0.5
    r50 = float(np.interp(0.5, precision[over], recall[over])) if within else float(good.max(initial=0))
    figures = {"ODS": float(f[at]), "OIS": float(rates(best.sum(axis=0))[2]), "AP": float(curve.mean()), "R50": r50}
    return figures | {"precision": float(precision[at]), "recall": float(recall[at]), "level": at}


def thinned(strength: npt.NDArray[np.float32], thresholds: int) -> list[BoolArray]:
    """The edge map at thresholds from low to high."""
    return [thin(strength >= (number + 1) / (thresholds + 1)) for number in range(thresholds)]


def segmentations(image: ByteArray) -> list[BoolArray]:
    """The boundaries of Felzenszwalb's segments at `SCALES`."""
    return [thin(outlines(felzenszwalb(image, scale=scale, sigma=0.8, min_size=20))) for scale in SCALES]


def measure(folder: Path, levels_of: Callable[[ByteArray], list[BoolArray]], limit: int | None) -> FloatArray:
    """(photos, levels, 4) counts."""
    counts = []
    for photo in photos_of(folder):
        counts.append(count(levels_of(photo.image), photo.humans))
        print(f"\r{len(counts)} photos", end="", file=sys.stderr, flush=True)
        if len(counts) == limit:
            break
    print(file=sys.stderr)
    if not counts:
        raise SystemExit(f"{folder} has no photos of BSDS")
    return np.array(counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="bsds_test, or train_labelled to choose by")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", help="network whose edges are measured (default: the bundled one)")
    parser.add_argument("--of", choices=("candidates", "objects"), default="candidates", help="as in found.edges()")
    which.add_argument("--baseline", choices=("felzenszwalb",), help="measured in the network's place")
    parser.add_argument("--thresholds", type=int, default=99)
    parser.add_argument("--limit", type=int, help="number of photos")
    arguments = parser.parse_args()
    if arguments.baseline:
        levels_of, name = segmentations, "felzenszwalb"
    else:
        model = FastSAM(arguments.model)
        name = f"{model.name}, {arguments.of}"

        def levels_of(image: ByteArray) -> list[BoolArray]:
            return thinned(model(image).edges(of=arguments.of), arguments.thresholds)

    counts = measure(arguments.data, levels_of, arguments.limit)
    figures = summary(counts)
    cells = [str(value) if isinstance(value, int) else f"{value:.3f}" for value in figures.values()]
    print(f"{arguments.data.name}, {len(counts)} photos\n")
    print(f"|  | {' | '.join(figures)} |\n|{' --- |' * (len(figures) + 1)}\n| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
