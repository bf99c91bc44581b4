"""What is found in a photo: objects, to look at, to choose from, to write out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask, Polygon, stack_dense, union
from fastsam_onnx.results import rules as prompts
from fastsam_onnx.results import text_prompts
from fastsam_onnx.results.crops import CropStyle
from fastsam_onnx.results.text_prompts import CropEmbeddings

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.masks.candidates import Candidates
    from fastsam_onnx.results.rules import Match, Pick, Row


@dataclass(frozen=True, eq=False)
class Instance:
    """One object.

    Attributes:
        mask: Its pixels.
        box: (4,) float32 x1, y1, x2, y2 in image pixels.
        score: 0 to 1.
        prompt_index: Which prompt it answers, if any.
        similarity: With the text that it answers, if any: the cosine of their vectors, -1 to 1.
    """

    mask: Mask
    box: FloatArray
    score: float
    prompt_index: int | None = None
    similarity: float | None = None


class Masks(Sequence[Mask]):
    """The masks of a Segmentation. Each is rendered when asked for, and again when asked again: nothing is kept."""

    def __init__(self, rows: Sequence[Row], image_size: tuple[int, int]) -> None:
        self._rows = tuple(rows)
        self._image_size = image_size

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Mask: ...

    @overload
    def __getitem__(self, index: slice) -> Masks: ...

    def __getitem__(self, index: int | slice) -> Mask | Masks:
        if isinstance(index, slice):
            return Masks(self._rows[index], self._image_size)
        return self._rows[index].render()

    def __repr__(self) -> str:
        width, height = self._image_size
        return f"Masks({len(self)} in {width}x{height})"

    def dense(self) -> BoolArray:
        """(n, H, W) bool: n photos' worth of memory; `Mask.dense()` makes one at a time."""
        return stack_dense(list(self), self._image_size)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The objects of one photo, best first, or those that a prompt chose.

    Attributes:
        boxes: (n, 4) float32 x1, y1, x2, y2 in image pixels, from the network; every mask lies inside its box.
        scores: (n,) float32, 0 to 1.
        image_size: (width, height) of the photo in pixels.
        prompt_index: (n,) int64: which prompt each row answers; None where there was no prompt.
        image: (H, W, 3) uint8 RGB, the upright photo.
        source: The photo's file name, if it had one.
        speed: Milliseconds of "decode", "preprocess", "network" and "postprocess"; masks are made later.
        embeddings: CLIP and the vectors of the objects, as far as texts have asked for them; None without CLIP.
        similarity: (n,) float32: with the text that each row answers, a cosine; None where there was no text.
        candidates: Everything that the network offered, for `box_prompt`; selections are without.
    """

    boxes: FloatArray
    scores: FloatArray
    rows: tuple[Row, ...] = field(repr=False)
    image_size: tuple[int, int]
    prompt_index: IntArray | None = None
    image: ByteArray | None = field(default=None, repr=False)
    source: str | None = None
    speed: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    embeddings: CropEmbeddings | None = field(default=None, repr=False)
    similarity: FloatArray | None = None
    candidates: Candidates | None = field(default=None, repr=False)

    @classmethod
    def of_masks(
        cls,
        masks: Sequence[Mask],
        scores: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        *,
        image_size: tuple[int, int] | None = None,
        image: ByteArray | None = None,
        source: str | None = None,
        prompt_index: npt.ArrayLike | None = None,
        clip: Clip | None = None,
    ) -> Segmentation:
        """A Segmentation of masks that exist already.

        Args:
            masks: At least one, or `image_size` is needed.
            scores: (n,), 1 by default.
            boxes: (n, 4), the masks' own by default.
            image_size: (width, height).
            image: (H, W, 3) uint8 RGB.
            source: A file name.
            prompt_index: (n,).
            clip: For text prompts, which need the image, too.

        Raises:
            OptionError: If the masks are of different photos, or there are not as many scores, boxes or indices.
        """
        if image_size is None:
            if not masks:
                raise OptionError("a Segmentation of no masks needs image_size=(width, height)")
            image_size = masks[0].image_size
        own = [mask.box for mask in masks] if boxes is None else boxes
        found = cls(
            np.asarray(own, np.float32).reshape(-1, 4),
            np.ones(len(masks), np.float32) if scores is None else np.asarray(scores, np.float32),
            tuple(masks),
            image_size,
            None if prompt_index is None else np.asarray(prompt_index, np.int64),
            image,
            source,
            embeddings=None if clip is None else CropEmbeddings(clip),
        )
        found._check_rows()
        return found

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "speed": dict(self.speed)}  # a read-only view of a dict cannot be pickled

    def __repr__(self) -> str:
        width, height = self.image_size
        objects = "1 object" if len(self) == 1 else f"{len(self)} objects"
        best = f", scores {self.scores.max():.2f} to {self.scores.min():.2f}" if len(self) else ""
        answers = "" if self.prompt_index is None else ", answers of prompts"
        name = f" of {self.source}" if self.source else ""
        return f"Segmentation({objects} in {width}x{height}{name}{best}{answers})"

    def __iter__(self) -> Iterator[Instance]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Instance: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | Sequence[bool] | npt.NDArray[Any]) -> Segmentation: ...

    def __getitem__(
        self, index: int | slice | Sequence[int] | Sequence[bool] | npt.NDArray[Any]
    ) -> Instance | Segmentation:
        """`found[3]` is an Instance; a slice, index list or bool mask of length n gives a Segmentation.

        Raises:
            IndexError: If an index is outside -n .. n - 1, or a bool mask has another length.
        """
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            prompt = None if self.prompt_index is None else int(self.prompt_index[index])
            similarity = None if self.similarity is None else float(self.similarity[index])
            return Instance(self.rows[index].render(), self.boxes[index], float(self.scores[index]), prompt, similarity)
        chosen = np.asarray(index) if not isinstance(index, slice) else index
        if isinstance(chosen, np.ndarray):
            chosen = chosen.astype(np.int64) if not chosen.size and chosen.dtype != np.bool_ else chosen
            if chosen.ndim != 1 or chosen.dtype.kind not in "iub":
                raise IndexError(f"rows are chosen by int, slice, bool mask or index array; found {index!r}")
            if chosen.dtype == np.bool_ and chosen.size != len(self):
                raise IndexError(f"a bool mask has one entry for every row, {len(self)}; found {chosen.size}")
        return self._take(np.arange(len(self))[chosen])

    @property
    def masks(self) -> Masks:
        """The masks: a sequence of Mask, made when asked for; `masks.dense()` is (n, H, W) bool."""
        return Masks(self.rows, self.image_size)

    @cached_property
    def areas(self) -> IntArray:
        """(n,) int64 pixels of each mask. The first time all masks are rendered, one after another."""
        areas = np.array([row.area for row in self.rows], np.int64)
        areas.flags.writeable = False
        return areas

    @cached_property
    def mask_boxes(self) -> FloatArray:
        """(n, 4) float32 x1, y1, x2, y2: the masks' own bounding boxes, from their pixels."""
        boxes = np.array([row.box for row in self.rows], np.float32).reshape(-1, 4)
        boxes.flags.writeable = False
        return boxes

    def union(self) -> Mask:
        """The pixels of any object; empty if there is none."""
        return union(self.masks) if len(self) else Mask.empty(self.image_size)

    def point_prompt(
        self, points: npt.ArrayLike, labels: npt.ArrayLike | None = None, *, pick: Pick = "balanced"
    ) -> Segmentation:
        """The objects that points mean.

        Args:
            points: (2,) or (k, 2): x, y in image pixels, all for one object; (g, k, 2) asks for g objects at once.
                A point outside the photo hits nothing.
            labels: One for every point: 1 foreground (the default), 0 background. Background alone means nothing.
            pick: What several hits mean. Masks that hold a foreground point and no background point are candidates:
                "all" gives every one, smallest first; the others give one of them, among those that hold the most
                foreground points: "balanced", the highest score / area^(2/3), which measures best on ground truth
                (weights/README.md); "smallest"; "largest"; "best", the highest score.
                "merge" is the paper's (and the official code's): masks from large to small, each that holds a
                foreground point is added, each that holds a background point taken away; one row, with the highest
                score of the masks that hold a foreground point.

        Returns:
            The chosen rows, `prompt_index` telling the group; empty if nothing is hit.

        Raises:
            PromptError: If the points or labels are malformed.
            OptionError: If `pick` is not known.
        """
        prompts.check_choice("pick", pick, prompts.Pick)
        groups, signs = prompts.check_points(points, labels)
        answers = [self._at_points(*group, pick) for group in zip(groups, signs, strict=True)]
        return concatenate([answer._answering(index) for index, answer in enumerate(answers)])

    def box_prompt(self, boxes: npt.ArrayLike, *, match: Match = "candidate") -> Segmentation:
        """For each box the object that fits it best.

        Args:
            boxes: (4,) or (k, 4): x1, y1, x2, y2 in image pixels.
            match: "candidate": of everything that the network offered, also below the threshold, what fits the box
                best, its mask cut to the box; measures best on ground truth (weights/README.md). Where there is nothing
                but rows, as in a selection, it is "mask". "mask": the row with the highest IoU of the mask's pixels and
                the box (the official code's); "box": IoU of the mask's own bounding box and the box (the paper's).

        Returns:
            One row per box, in the order of the boxes, `prompt_index` telling which; a box that overlaps nothing has
            no row.

        Raises:
            PromptError: If the boxes are malformed.
            OptionError: If `match` is not known.
        """
        prompts.check_choice("match", match, prompts.Match)
        checked = prompts.check_boxes(boxes)
        if match == "candidate" and self.candidates is not None:
            return self._of_candidates(checked, self.candidates)
        rows, answered = [], []
        for index, box in enumerate(checked):
            row = self._for_box(box, match)
            if row is not None:
                rows.append(row)
                answered.append(index)
        return replace(self._take(np.array(rows, np.int64)), prompt_index=np.array(answered, np.int64))

    def text_prompt(
        self,
        texts: str | Sequence[str],
        *,
        top_k: int | None = 1,
        threshold: float | None = None,
        negative: str | Sequence[str] = (),
        templates: Sequence[str] = text_prompts.PLAIN,
        min_area: int = 100,
        crops: CropStyle | None = None,
        progress: text_prompts.Progress | None = None,
    ) -> Segmentation:
        """The objects that texts mean, by CLIP; the model needs `FastSAM(..., clip=...)`.

        The objects are embedded at the first text and kept: every further text costs one run of the text encoder.

        Args:
            texts: One, or several that are answered one by one.
            top_k: At most so many objects for each text, the most similar first; None for all, which makes sense with
                a threshold ("all dogs").
            threshold: Only objects whose cosine with the text is above it, -1 to 1. Unlike a softmax it does not depend
                on what else is in the photo, so it can say that nothing fits. What is a good one depends on the CLIP;
                for ViT-B/32 try 0.25, and look at `similarity`.
            negative: Only objects that are more similar to the text than to any of these.
            templates: As in `text_scores`.
            min_area: As in `text_scores`.
            crops: As in `text_scores`.
            progress: As in `text_scores`.

        Returns:
            The chosen rows, `prompt_index` telling the text and `similarity` the cosine with it; empty if nothing fits.

        Raises:
            PromptError: If there is no text, something else is there, or a text says nothing.
            OptionError: If an option is outside its range, or the result has neither CLIP nor the photo.
            ModelError: If the files are no CLIP.
        """
        prompts.check_choice_of_rows(top_k, threshold)
        options: dict[str, Any] = {"templates": templates, "min_area": min_area, "crops": crops, "progress": progress}
        cosines = self.text_scores(texts, **options)
        rivals = self.text_scores(negative, **options).max(axis=0) if len(negative) else None
        chosen = [prompts.rows_by_similarity(row, top_k, threshold, rivals) for row in cosines]
        rows = np.concatenate(chosen)
        answered = np.repeat(np.arange(len(chosen), dtype=np.int64), [len(each) for each in chosen])
        return replace(self._take(rows), prompt_index=answered, similarity=cosines[answered, rows])

    def text_scores(
        self,
        texts: str | Sequence[str],
        *,
        softmax: bool = False,
        templates: Sequence[str] = text_prompts.PLAIN,
        min_area: int = 100,
        crops: CropStyle | None = None,
        progress: text_prompts.Progress | None = None,
    ) -> FloatArray:
        """How similar every object is to every text.

        Args:
            texts: One or several.
            softmax: Instead of cosines their softmax over the objects (times 100, as the official code): how an object
                compares with the others, 1 in all for each text.
            templates: Each text is put in each of these for "{}", and the vectors are averaged; ("a photo of {}",) is
                what CLIP's authors advise.
            min_area: Objects of so many pixels or less are left out, as the references do.
            crops: What CLIP is shown of an object; see `CropStyle`.
            progress: Called with the number of crops that are embedded and of all, where there is something to embed.

        Returns:
            (texts, n) float32 cosines, -1 to 1; -inf (in a softmax 0) for objects that are left out.

        Raises:
            PromptError: As in `text_prompt`.
            OptionError: As in `text_prompt`.
            ModelError: As in `text_prompt`.
        """
        if self.embeddings is None or self.image is None:
            missing = "the photo" if self.embeddings is not None else "CLIP"
            raise OptionError(
                f'this result lacks {missing}: text prompts need FastSAM(..., clip="clip-vit-b-32-int8"), a name that '
                "downloads CLIP once (156 MB), or clip= with the folder of another; Segmentation.of_masks takes clip= "
                "and image="
            )
        if isinstance(min_area, bool) or not isinstance(min_area, int | np.integer) or min_area < 0:
            raise OptionError(f"min_area is a whole number of at least 0; found {min_area!r}")
        of_texts = text_prompts.embed_texts(self.embeddings.clip, texts, templates)
        cosines = np.full((len(of_texts), len(self)), -np.inf, np.float32)
        kept = np.flatnonzero(self.areas > min_area)
        if kept.size:
            rows = [self.rows[index] for index in kept.tolist()]
            of_crops = self.embeddings.of(rows, self.image, crops or CropStyle(), progress)
            cosines[:, kept] = of_texts @ of_crops.T
        return text_prompts.softmax(cosines) if softmax else cosines

    def smooth(self, min_area: int = 64, radius: int = 1) -> Segmentation:
        """The same objects with islands and holes below an area gone and outlines smoothed; see `Mask.smooth`.

        Objects that lose all their pixels are dropped.
        """
        smoothed = [mask.smooth(min_area, radius) for mask in self.masks]
        kept = [index for index, mask in enumerate(smoothed) if mask.area]
        rows: tuple[Row, ...] = tuple(smoothed[index] for index in kept)
        return replace(self._take(np.array(kept, np.int64)), rows=rows)

    def save(self, path: str | os.PathLike[str], *, format: str | None = None, **options: Any) -> None:  # noqa: A002
        """Write the objects to a file, by its suffix or by the name of a format; see `formats.save`."""
        from fastsam_onnx.formats import registry as formats

        formats.save(self, path, format=format, **options)

    def to_coco(self, image_id: int | str = 0, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO results: a list of records with compressed RLE; see `formats.to_coco`."""
        from fastsam_onnx.formats import registry as formats

        return formats.to_coco(self, image_id=image_id, category_id=category_id)

    def to_polygons(self, tolerance: float = 0.0) -> list[list[Polygon]]:
        """For each object its islands, each an outline with holes, in image pixels; see `Mask.polygons`."""
        return [mask.polygons(tolerance) for mask in self.masks]

    def to_sam(self) -> list[dict[str, Any]]:
        """The records that SAM's automatic mask generator gives; see `formats.to_sam`."""
        from fastsam_onnx.formats import registry as formats

        return formats.to_sam(self)

    def to_supervision(self) -> Any:
        """A `supervision.Detections`, when supervision is installed; see `formats.to_supervision`."""
        from fastsam_onnx.formats import registry as formats

        return formats.to_supervision(self)

    def _check_rows(self) -> None:
        n = len(self)
        for name, values in (("boxes", self.boxes), ("scores", self.scores), ("prompt_index", self.prompt_index)):
            if values is not None and values.shape != ((n, 4) if name == "boxes" else (n,)):
                raise OptionError(f"{n} masks need as many {name}; found an array of shape {values.shape}")
        sizes = {mask.image_size for mask in self.masks} | {self.image_size}
        if len(sizes) > 1:
            raise OptionError(f"masks and photo of different sizes: {sorted(sizes)}")

    def _take(self, index: IntArray) -> Segmentation:
        return Segmentation(
            self.boxes[index],
            self.scores[index],
            tuple(self.rows[i] for i in index),
            self.image_size,
            None if self.prompt_index is None else self.prompt_index[index],
            self.image,
            self.source,
            self.speed,
            self.embeddings,
            None if self.similarity is None else self.similarity[index],
        )

    def _answering(self, prompt: int) -> Segmentation:
        return replace(self, prompt_index=np.full(len(self), prompt, np.int64))

    def _at_points(self, points: npt.NDArray[np.float64], foreground: BoolArray, pick: Pick) -> Segmentation:
        held = prompts.hits(self.rows, self.boxes, points)
        if pick == "merge":
            return self._merged(held, foreground)
        candidates = prompts.rows_at_points(held, foreground)
        needs_areas = pick != "best"
        areas = [self.rows[i].area if needs_areas else 0 for i in candidates.tolist()]
        scores = self.scores[candidates]
        return self._take(
            prompts.pick_rows(candidates, held, foreground, pick, areas=np.array(areas, np.int64), scores=scores)
        )

    def _merged(self, held: BoolArray, foreground: BoolArray) -> Segmentation:
        touched = np.flatnonzero(held.any(axis=1))
        merged = prompts.merge_rows([self.masks[i] for i in touched.tolist()], held[touched], foreground)
        if merged is None:
            return self._take(np.zeros(0, np.int64))
        score = self.scores[held[:, foreground].any(axis=1)].max(keepdims=True)
        return replace(self, boxes=merged.box[None], scores=score, rows=(merged,), similarity=None, candidates=None)

    def _of_candidates(self, boxes_xyxy: npt.NDArray[np.float64], candidates: Candidates) -> Segmentation:
        width, height = self.image_size
        cut = np.clip(boxes_xyxy, 0, (width, height, width, height)).astype(np.float32)
        answers = [candidates.for_box(box) for box in cut]
        answered = [index for index, answer in enumerate(answers) if answer is not None]
        return replace(
            self,
            boxes=cut[answered],
            scores=np.array([answer[1] for answer in answers if answer is not None], np.float32),
            rows=tuple(answer[0] for answer in answers if answer is not None),
            prompt_index=np.array(answered, np.int64),
            candidates=None,
        )

    def _for_box(self, box: npt.NDArray[np.float64], match: Match) -> int | None:
        if match == "box":
            return prompts.best_row_by_box(box, self.mask_boxes, self.image_size)
        return prompts.best_row_by_mask(box, self.boxes, self.image_size, self.areas, self.rows)


def concatenate(parts: Iterable[Segmentation]) -> Segmentation:
    """The rows of several Segmentations of one photo, one after another; at least one is needed."""
    parts = list(parts)
    if not parts:
        raise OptionError("give at least one Segmentation to concatenate")
    sizes = {part.image_size for part in parts}
    if len(sizes) > 1:
        raise OptionError(f"Segmentations of photos of different sizes: {sorted(sizes)}")
    indices = [part.prompt_index for part in parts if part.prompt_index is not None]
    similarities = [part.similarity for part in parts if part.similarity is not None]
    return replace(
        parts[0],
        boxes=np.concatenate([part.boxes for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        rows=tuple(row for part in parts for row in part.rows),
        prompt_index=np.concatenate(indices) if len(indices) == len(parts) else None,
        similarity=np.concatenate(similarities) if len(similarities) == len(parts) else None,
        candidates=None,
    )


def join_answers(answers: Iterable[tuple[Segmentation, int]]) -> Segmentation:
    """The answers of several prompts about one photo as one, `prompt_index` counting on from each to the next.

    Args:
        answers: At least one, each with the number of objects that were asked for.
    """
    counted, first = [], 0
    for answer, asked in answers:
        index = answer.prompt_index
        counted.append(answer if index is None else replace(answer, prompt_index=index + first))
        first += asked
    return concatenate(counted)
