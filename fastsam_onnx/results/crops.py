"""The piece of the photo around a mask that CLIP is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask

Colour = tuple[int, int, int]
Background = Literal["mean", "black", "white", "blur", "photo"]

BLUR = 0.1
"""Standard deviation of the blur, in longer sides of the crop."""


@dataclass(frozen=True)
class CropStyle:
    """The way in which objects are cut out for CLIP.

    The default is what an ImageNet classifier in CLIP's place chooses best by (tools/stand_in_clip.py: 77 phrases, of
    which it gets 42 % right, and 35 % with a black background, 33 % with the photo as it is). With CLIP's own weights
    nobody has measured it yet; tools/evaluate_text.py does.

    Attributes:
        backgrounds: Filling of the pixels around the mask: "mean" (the grey that CLIP's normalisation turns to zero),
            "black" (as ultralytics), "white", "blur", or "photo" as they are. Several give as many views of every
            object, whose vectors are averaged.
        margin: Distance by which the crop reaches beyond the mask's own box, 0 to 1 of the box's longer side; never out
            of the photo.
        square: True puts the whole crop on a square, instead of the middle square that CLIP's own preprocessing cuts
            out, which takes the ends off long objects.

    Raises:
        OptionError: If there is no background, or one that is not known, the margin is not a number from 0 to 1, or
            `square` neither True nor False.
    """

    backgrounds: Background | Sequence[Background] = ("mean",)
    margin: float = 0.0
    square: bool = True

    def __post_init__(self) -> None:
        one = isinstance(self.backgrounds, str) or not isinstance(self.backgrounds, Sequence)
        given = (self.backgrounds,) if one else tuple(self.backgrounds)
        if not given:
            raise OptionError(f"backgrounds must be one or more of {', '.join(get_args(Background))}, got none")
        for background in given:
            options.choice("backgrounds", background, get_args(Background))
        object.__setattr__(self, "backgrounds", given)  # a list could not be a key
        object.__setattr__(self, "margin", options.fraction("margin", self.margin))
        object.__setattr__(self, "square", options.boolean("square", self.square))

    def views(self, image: ByteArray, mask: Mask, mean: Colour) -> list[tuple[ByteArray, Colour | None]]:
        """The views of an object.

        Args:
            image: (H, W, 3) uint8 RGB.
            mask: With at least one pixel.
            mean: The colour that the encoder's normalisation turns to zero.

        Returns:
            For each background the crop (h, w, 3) uint8, and the colour of the square that it goes on, None if the
            middle is to be cut out.
        """
        colours: dict[str, Colour] = {"black": (0, 0, 0), "white": (255, 255, 255)}
        views = []
        assert not isinstance(self.backgrounds, str)  # one has become a tuple
        for background in self.backgrounds:
            colour = colours.get(background, mean)
            views.append((cut_out(image, mask, background, self.margin, colour), colour if self.square else None))
        return views


def cut_out(image: ByteArray, mask: Mask, background: Background, margin: float, colour: Colour) -> ByteArray:
    """The piece of the photo around a mask; see `CropStyle`.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: With at least one pixel.
        background: Filling of the pixels that are not the mask's.
        margin: In longer sides of the mask's box.
        colour: Of the background, unless it is "blur" or "photo".

    Returns:
        (h, w, 3) uint8.
    """
    x1, y1, x2, y2 = (int(edge) for edge in mask.box)
    reach = math.ceil(margin * max(x2 - x1, y2 - y1))
    left, top = max(x1 - reach, 0), max(y1 - reach, 0)
    right, bottom = min(x2 + reach, mask.image_size[0]), min(y2 + reach, mask.image_size[1])
    piece = image[top:bottom, left:right]
    if background == "photo":
        return piece
    inside = np.zeros(piece.shape[:2], bool)
    crop = mask.crop[y1 - mask.top : y2 - mask.top, x1 - mask.left : x2 - mask.left]
    inside[y1 - top : y2 - top, x1 - left : x2 - left] = crop
    around = _blurred(piece) if background == "blur" else np.array(colour, np.uint8)
    return np.where(inside[..., None], piece, around)


def _blurred(piece: ByteArray) -> ByteArray:
    import cv2

    deviation = max(BLUR * max(piece.shape[:2]), 1.0)
    return np.asarray(cv2.GaussianBlur(piece, (0, 0), deviation), np.uint8)
