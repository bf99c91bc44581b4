"""Similarity of objects and texts: the vectors of a photo's crops, made once, and those of the texts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.arrays import ByteArray, FloatArray, product
from fastsam_onnx.errors import OptionError
from fastsam_onnx.options import CountProgress, function, shown, text
from fastsam_onnx.results.crops import CropStyle

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.masks.mask_like import MaskLike
    from fastsam_onnx.masks.sequence import Masks
    from fastsam_onnx.results.examples import Examples

NO_TEMPLATE = ("{}",)
"""The template that is the text itself."""
NEEDS = (
    'text prompts need FastSAM(..., clip="clip-vit-b-32-int8"), a name that downloads CLIP once (156 MB), or clip= '
    "with the folder of another; Segmentation.from_masks takes clip= and image="
)
SMALLEST_SUM = np.float32(1e-30)
"""Below every sum that is not zero: it keeps divisions defined."""
SHARPNESS = 100.0
"""Factor of cosines before a softmax: where CLIP's training ends, and what the official code takes."""


class CropEmbeddings:
    """The vectors of a photo's objects, made when a text first asks for them, and kept as long as the result is.

    Shared by all selections of a result, from any thread: a mask is embedded once.

    Attributes:
        clip: The encoders.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._seen: tuple[ByteArray | None, dict[tuple[MaskLike, CropStyle], FloatArray]] = (None, {})
        self._lock = threading.RLock()

    def vectors(
        self, masks: Sequence[MaskLike], image: ByteArray, style: CropStyle, progress: CountProgress | None = None
    ) -> FloatArray:
        """The vectors of masks; those that are not known yet are computed.

        Args:
            masks: n masks of the photo, each with at least one pixel.
            image: (H, W, 3) uint8 RGB, the photo.
            style: Way in which they are cut out.
            progress: Called while they are computed.

        Returns:
            (n, width) float32, each of length 1.
        """
        from fastsam_onnx.clip.encoders import BATCH

        function("progress", progress)
        with self._lock:  # another thread that wants the same waits, instead of computing it too; progress may ask, too
            if image is not self._seen[0]:  # the first, or another photo, by dataclasses.replace
                self._seen = (image, {})
            known = self._seen[1]
            missing = [mask for mask in dict.fromkeys(masks) if (mask, style) not in known]
            size = max(BATCH // len(style.backgrounds), 1)
            for start in range(0, len(missing), size):
                part = missing[start : start + size]
                for mask, vector in zip(part, self._embed(part, image, style), strict=True):
                    known[mask, style] = vector
                if progress is not None:
                    progress(start + len(part), len(missing))
            return np.stack([known[mask, style] for mask in masks])

    def cosines(
        self,
        texts: str | Sequence[str],
        masks: Masks,
        image: ByteArray,
        *,
        min_area: int,
        templates: Sequence[str],
        style: CropStyle,
        progress: CountProgress | None = None,
    ) -> FloatArray:
        """(texts, n) float32 cosines of texts and masks; -inf for masks of `min_area` pixels or fewer.

        Raises:
            PromptError: If there is no text, something that is not a text, or an empty text.
            OptionError: If there is no template, or one without "{}".
        """
        of_texts = embed_texts(self.clip, texts, templates)
        cosines = np.full((len(of_texts), len(masks)), -np.inf, np.float32)
        kept = np.flatnonzero(masks.areas > min_area)
        if kept.size:
            of_crops = self.vectors(masks.take(kept).lazy, image, style, progress)
            cosines[:, kept] = _cosines(of_texts, of_crops)
        return cosines

    def likeness(
        self,
        examples: Examples,
        masks: Masks,
        image: ByteArray,
        *,
        min_area: int,
        style: CropStyle,
        progress: CountProgress | None = None,
    ) -> FloatArray:
        """(examples, n) float32 cosines of examples and masks; -inf for masks of `min_area` pixels or fewer."""
        wanted = examples.masks
        cosines = np.full((len(wanted), len(masks)), -np.inf, np.float32)
        kept = np.flatnonzero(masks.areas > min_area)
        if not kept.size or not wanted:
            return cosines
        others = masks.take(kept).lazy
        if examples.image is image:
            both = self.vectors([*wanted, *others], image, style, progress)
            ours, theirs = both[len(wanted) :], both[: len(wanted)]
        else:
            known = examples.embeddings
            if known is None or known.clip.files != self.clip.files:  # those of another CLIP mean nothing to this one
                known = CropEmbeddings(self.clip)
            theirs, ours = known.vectors(wanted, examples.image, style), self.vectors(others, image, style, progress)
        cosines[:, kept] = _cosines(theirs, ours)
        return cosines

    def __getstate__(self) -> dict[str, Any]:
        photo, known = self._seen
        return {"clip": self.clip, "_seen": (photo, dict(known))}  # a copy: another thread may go on meanwhile

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def _embed(self, masks: Sequence[MaskLike], image: ByteArray, style: CropStyle) -> FloatArray:
        encoder = self.clip.image_encoder()
        mean = encoder.preprocessing.mean_colour
        squares = [
            encoder.preprocessing.square(crop, pad)
            for mask in masks
            for crop, pad in style.views(image, mask.render(), mean)
        ]
        from fastsam_onnx.clip.encoders import unit_vectors

        return unit_vectors(encoder.embed(squares).reshape(len(masks), len(style.backgrounds), -1).mean(axis=1))


def check_style(crops: CropStyle | None) -> CropStyle:
    """The style, by default the default one; OptionError if it is something else."""
    if crops is not None and not isinstance(crops, CropStyle):
        raise OptionError(f"crops must be a CropStyle, got {shown(crops)}")
    return crops or CropStyle()


def class_names(texts: str | Sequence[str], other: str | None) -> dict[int, str]:
    """Texts as names of classes by index, and the name of the class of objects that fit none, if there is one.

    Raises:
        PromptError: If there is no text, something that is not a text, or an empty text.
        OptionError: If `other` is not a text, has no character that is seen, or a name is there twice.
    """
    from fastsam_onnx.clip.clip import check_texts

    names = [*check_texts(texts, "class text"), *([] if other is None else [text("other", other)])]
    if other is not None and not other.strip():
        raise OptionError(f"other must be the name of a class, got {shown(other)}")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise OptionError(f"the names of classes must differ, got {shown(name)} twice")
        seen.add(name)
    return dict(enumerate(names))


def embed_texts(clip: Clip, texts: str | Sequence[str], templates: Sequence[str]) -> FloatArray:
    """(n, width) float32 of length 1: of each text the mean over the templates, in each of which "{}" is the text.

    Raises:
        PromptError: If there is no text, something that is not a text, or an empty text.
        OptionError: If there is no template, or one without "{}".
    """
    from fastsam_onnx.clip.clip import check_texts

    listed = check_texts(texts)
    is_list = isinstance(templates, Sequence) and not isinstance(templates, str) and len(templates)
    if not is_list or not all(isinstance(template, str) and "{}" in template for template in templates):
        raise OptionError(
            f'templates must be a list of texts such as "a photo of {{}}", each with {{}}, got {shown(templates)}'
        )
    filled = [template.replace("{}", text) for text in listed for template in templates]
    from fastsam_onnx.clip.encoders import unit_vectors

    return unit_vectors(clip.embed_texts(filled).reshape(len(listed), len(templates), -1).mean(axis=1))


def softmax(cosines: FloatArray) -> FloatArray:
    """Over the last axis, of 100 times the cosines; -inf becomes 0."""
    if not cosines.shape[-1]:
        return cosines
    top = cosines.max(axis=-1, keepdims=True)
    powers: FloatArray = np.exp(SHARPNESS * (cosines - np.where(np.isfinite(top), top, 0)))
    sums: FloatArray = np.maximum(powers.sum(axis=-1, keepdims=True), SMALLEST_SUM)
    return powers / sums


def _cosines(first: FloatArray, second: FloatArray) -> FloatArray:
    """(m, n) of vectors (m, width) and (n, width) of length 1; what rounding adds beyond 1 is taken off."""
    return np.clip(product(first, second.T), -1, 1)
