"""The corrector: the decoder's second set of weights, which draws answers that were drawn before and had a point more.

It is trained beside a finished decoder on nothing but corrections, as the package makes them: the decoder draws, a
point goes where that is wrong, and the corrector sees both; and on rough masks, which it makes exact. Its coarse layers
share the decoder's weights, of which their batch norms keep one factor a channel, so that a network's file holds the
others alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fastsam_onnx import Mask
from fastsam_onnx.arrays import BoolArray, FloatArray
from fastsam_onnx.masks.candidates import NO_POINTS, NONE_WANTED
from fastsam_onnx.masks.clicks import around
from fastsam_onnx.masks.decoder import Closer, maps_of
from fastsam_onnx.masks.decoder import Decoder as Finished
from fastsam_onnx.masks.decoder_file import CORRECTOR_KEY, changed, file_of
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.masks.refine import calm
from fastsam_onnx.masks.views import View
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.runtime import RuntimeOptions

from ..reopen import factors
from .corrections import wrong_cell
from .data import TRIED, Prompt, Prompts, Scene, clicked, outside, prompt, shaken
from .export import metadata, of_file, reopened, stored
from .network import Decoder
from .sketches import sketched

SHARED = ("stages.2.", "downs.2.", "stages.3.")
"""Layers of the decoder whose weights are the corrector's, too."""
SKETCHES = 0.25  # of the prompts are rough masks
WHOLE = 0.3  # of their views lie around the object, too
SHARES = (0.45, 0.35, 0.2)  # of the prompts: corrected that often after the first time
EXACT = 0.5  # of the views are as large as the package takes them
WIDEST = 0.5  # largest margin that is added to the others, in sides


def shared(decoder: Decoder) -> list[str]:
    """Names of the convolutions' weights that a corrector shares with its decoder."""
    return [name for name, values in decoder.named_parameters() if name.startswith(SHARED) and values.ndim > 1]


def tied(corrector: Decoder, decoder: Decoder) -> Decoder:
    """The corrector with the decoder's weights in the coarse layers, which do not learn."""
    theirs = dict(decoder.named_parameters())
    ours = dict(corrector.named_parameters())
    for name in shared(decoder):
        ours[name].data.copy_(theirs[name].data)
        ours[name].requires_grad_(False)
    return corrector


def reopened_corrector(path: Path) -> Decoder | None:
    """The corrector of a network's file, to learn on, if it has one: its norms make the decoder's weights its own.

    Raises:
        SystemExit: If the file has no decoder, or one that cannot be read here.
    """
    change = metadata(path).get(CORRECTOR_KEY)
    if change is None:
        return None
    corrector, decoder = of_file(changed(file_of(stored(path)), change), path), reopened(path)
    ours, theirs = dict(corrector.named_modules()), dict(decoder.named_parameters())
    with torch.no_grad():
        for name in shared(decoder):
            weight, layer = theirs[name], ours[name.removesuffix(".conv.weight")]
            layer.norm.weight.copy_(factors(layer.conv.weight, weight))
    return tied(corrector, decoder)


def finished(path: Path) -> Finished:
    """The decoder of a network's file, as the package runs it."""
    return Finished(stored(path), RuntimeOptions(threads=1), path.name)


class Corrections(Prompts):
    """Batches of rough masks, and of prompts that are corrected: clicks here, boxes while the corrector learns."""

    def __init__(
        self, scenes: list[Scene], weights: np.ndarray, batch: int, seed: int, decoder: Finished, *, clicks: float
    ) -> None:
        """``decoder``: draws the first answer; ``clicks``: share of the prompts that are no rough masks."""
        super().__init__(scenes, weights, batch, seed, clicks=clicks)
        self.decoder = decoder

    def make(self, scene: Scene, rng: np.random.Generator) -> Prompt | None:
        """A prompt of one of the kinds, or none."""
        mask = scene.masks[int(rng.integers(scene.drawn or len(scene.masks)))]
        more = int(rng.choice(len(SHARES), p=SHARES))
        if rng.random() < SKETCHES:
            one = sketch_prompt(scene, mask, rng)
            return one and one._replace(corrections=np.int64(more))
        if rng.random() < self.clicks:
            one = self.click(scene, mask, rng)
            return one and one._replace(corrections=np.int64(more))
        return prompt(scene, shaken(mask.box, mask.image_size, rng), mask, mask, corrections=1 + more)

    def click(self, scene: Scene, mask: Mask, rng: np.random.Generator) -> Prompt | None:
        """A click into a mask, what the decoder draws of a candidate there, and a point where that is wrong."""
        found, point = scene.candidates, clicked(mask, rng)
        hits = found.holding(np.array([point]), np.ones(1, bool))[:TRIED]
        if not hits.size:
            return None
        [question] = found.questions(found.boxes_xyxy[rng.choice(hits, 1)], asked=False)
        closer = Closer(self.decoder, scene.image, found.prototypes, found.letterbox)
        [drawn] = closer.draw([question.clicked([point], np.ones(1, bool))])
        before = calm(drawn).tight()
        if before.is_empty() or not before.contains(*point):
            return None
        return corrected_once(scene, before, mask, point, rng)


def sketch_prompt(scene: Scene, mask: Mask, rng: np.random.Generator) -> Prompt | None:
    """What the corrector gets when a rough mask is all that is asked, the view around it, or wider."""
    sketch = sketched(mask, rng)
    if sketch is None:
        return None
    box = sketch.box[None]
    if rng.random() < WHOLE:
        box = around(box, np.reshape(mask.box, (2, 2)) - [[0], [0.5]])
    return shown(scene, sketch, mask, box, rng)


def corrected_once(
    scene: Scene, before: PendingMask, mask: Mask, point: tuple[float, float], rng: np.random.Generator
) -> Prompt | None:
    """What the corrector gets when a drawing gets a point where it is wrong, the view around both, or wider."""
    place = wrong_place(before, mask, scene.candidates.letterbox, rng)
    if place is None:
        return None
    points, foreground = np.array([point, place]), np.array([True, mask.contains(*place)])
    box = around(np.array([before.bounds], np.float32), points[foreground])
    return shown(scene, before, mask, box, rng, points=points, foreground=foreground)


def shown(
    scene: Scene,
    before: MaskLike,
    mask: Mask,
    box_xyxy: FloatArray,
    rng: np.random.Generator,
    *,
    points: npt.NDArray[np.float64] = NO_POINTS,
    foreground: BoolArray = NONE_WANTED,
) -> Prompt | None:
    """What the corrector gets when it is shown an answer so far, the view around a box (1, 4), or wider."""
    found, box = scene.candidates, wider(box_xyxy, mask.image_size, rng)
    [question] = found.questions(box, asked=False)
    if not len(question.coefficients):
        return None
    view = View.around(box[0], found.letterbox)
    maps = maps_of(view, found.prototypes, question.clicked(points, foreground, before))
    answer = view.shares(mask)
    return Prompt(view.photo(scene.image), maps, answer, answer, outside(mask, view), np.int64(0))


def wrong_place(
    before: PendingMask, mask: Mask, letterbox: Letterbox, rng: np.random.Generator
) -> tuple[float, float] | None:
    """A point where a drawing is wrong: the deepest, or any; None where it is hardly wrong."""
    boxes = np.array([before.bounds, mask.bounds], np.float64)
    view = View.around(np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)]), letterbox)
    columns, rows = view.centres()
    cell = wrong_cell(before.sample(columns, rows), mask.sample(columns, rows), rng)
    return None if cell is None else (float(columns[cell[1]]) + 0.5, float(rows[cell[0]]) + 0.5)


def wider(box_xyxy: FloatArray, image_size: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """A box (1, 4), half of the time with a margin on each side, inside the photo."""
    if rng.random() < EXACT:
        return box_xyxy
    corners = box_xyxy.reshape(2, 2)
    margin = rng.uniform(0, WIDEST) * (corners[1] - corners[0])
    larger = corners + np.array([[-1], [1]]) * margin
    return larger.clip(0, image_size).reshape(1, 4).astype(np.float32)
