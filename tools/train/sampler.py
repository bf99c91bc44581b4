"""Batches: which photos, on which canvas, with what pasted on; a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .compose import cut_out, paste, textured_shape
from .data import TAUGHT_SHARE, Batch, Example, Photo, mosaic, place, random_placement, recolour, sampling_weights

# Long sides of a canvas and the short ones that go with them: near 3 to 4, and few tokens over whole windows of 7.
SHORT_SIDES = {256: 192, 320: 256, 384: 288, 448: 320, 512: 384, 576: 448, 640: 448, 672: 448}
CANVASES = (256, 320, 320, 320, 384, 384, 384, 448, 448, 512, 512, 640, 640)  # long sides, drawn alike
MOSAIC_FROM = 448
PASTE = 0.5  # share of the pictures on which something is pasted
MOST_PASTED = 8


class Sampler:
    """Makes the batch of a step."""

    def __init__(
        self,
        photos: list[Photo],
        seed: int,
        *,
        pixels: int,
        canvases: Sequence[int] = CANVASES,
        taught_share: float = TAUGHT_SHARE,
    ) -> None:
        """``pixels``: budget of a batch; ``canvases``: long sides, one is drawn for each batch.

        ``taught_share``: of the pictures, photos that only the teacher has labelled.
        """
        self.photos = photos
        self.seed = seed
        self.pixels = pixels
        weights = sampling_weights(photos, taught_share)
        lying = np.array([photo.pixels.shape[1] >= photo.pixels.shape[0] for photo in photos])
        self.pools = [np.flatnonzero(lying), np.flatnonzero(~lying)]  # landscape, portrait
        self.pool_weights = [weights[pool] / max(weights[pool].sum(), 1e-9) for pool in self.pools]
        self.portrait_share = float(weights[~lying].sum())
        self.canvases = canvases

    def batch(self, step: int) -> Batch:
        """The batch of a step: one canvas shape for all."""
        rng = np.random.default_rng((self.seed, step))
        size = int(rng.choice(self.canvases))
        short = size if rng.random() < 0.3 else SHORT_SIDES[size]
        portrait = int(rng.random() < self.portrait_share)
        height, width = (size, short) if portrait else (short, size)
        count = max(2, round(self.pixels / (height * width)))
        examples = [self.example(height, width, portrait, rng) for _ in range(count)]
        return Batch.of(examples)

    def example(self, height: int, width: int, portrait: int, rng: np.random.Generator) -> Example:
        """One picture: a photo, or a mosaic of four on the larger canvases."""
        four = max(height, width) >= MOSAIC_FROM and rng.random() < 0.5
        chosen = rng.choice(self.pools[portrait], 4 if four else 1, p=self.pool_weights[portrait])
        photos = [self.photos[int(index)] for index in chosen]
        if four:
            split_y, split_x = (
                32 * int(rng.integers(side // 96 + 1, side // 32 - side // 96)) for side in (height, width)
            )
            sides = [(y, x) for y in (split_y, height - split_y) for x in (split_x, width - split_x)]
            tiles = [self.placed(p, h, w, 0.95, rng) for p, (h, w) in zip(photos, sides, strict=True)]
            example = mosaic(tiles, split_y, split_x)
        else:
            example = self.placed(photos[0], height, width, 0.65, rng)
        if rng.random() < PASTE:
            example = self.pasted(example, rng)
        return replace(example, pixels=recolour(example.pixels, rng))

    def pasted(self, example: Example, rng: np.random.Generator) -> Example:
        """The example with objects of one other photo, or with textured shapes, on it."""
        photo = self.photos[int(rng.integers(len(self.photos)))]
        shapes = rng.random() < 0.3 or not photo.masks
        for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
            if shapes:
                what = textured_shape(photo, rng)
            else:
                what = cut_out(photo, photo.masks[int(rng.integers(len(photo.masks)))])
            example = paste(example, what, rng)
        return example

    def placed(self, photo: Photo, height: int, width: int, smallest: float, rng: np.random.Generator) -> Example:
        """One photo at a random place."""
        at = random_placement(photo.pixels, height, width, smallest, rng)
        return place(photo, at, photo.background)
