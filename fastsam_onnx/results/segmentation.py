"""The objects of a photo, to choose from: by points, boxes, masks and texts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from fastsam_onnx import elsewhere, options
from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.masks import clicks
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.options import CountProgress
from fastsam_onnx.results import answers, rules, text_prompts
from fastsam_onnx.results.chooser import Chooser
from fastsam_onnx.results.crops import CropStyle
from fastsam_onnx.results.examples import Example, listed_examples
from fastsam_onnx.results.mask_prompts import MaskPrompts, check_masks
from fastsam_onnx.results.text_prompts import CropEmbeddings
from fastsam_onnx.results.writable import WritableInstances

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.results.rules import Match, Pick


@elsewhere.telling(elsewhere.RESULT)
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Segmentation(WritableInstances):
    """The objects of one photo, best first, or those that a prompt chose. Arrays are read-only: change copies.

    Attributes:
        boxes: (n, 4) float32 x1, y1, x2, y2 in image pixels, from the network, or around masks that grew beyond
            theirs; the masks lie inside them, to the pixels that their sides cut.
        scores: (n,) float32, 0 to 1; of answers to prompts those of the candidates that they were drawn from.
        masks: A sequence of n `Mask`, rendered when asked for; `masks.dense()` is (n, H, W) bool.
        prompt_index: (n,) int64 index of the prompt that each object answers; None where there was no prompt.
        similarity: (n,) float32 cosine with the text that each object answers; None where there was no text.
        labels: (n,) int64 index of each object's class; None where the network does not tell classes apart.
        names: Name of each class by index, from the network's file; None where there are no classes.
        track_ids: (n,) int64 number that each object has in every frame of a video, from 1; None where objects were not
            tracked.
        image: (H, W, 3) uint8 RGB, the upright photo.
        source: File name of the photo, if it had one.
        georeference: Place of a GeoTIFF on a map; None for other photos.
        candidates: Everything that the network offered, where prompts look; None in a selection, in results of tiles
            and of tracking, and in those made of masks or JSON.
        speed: Milliseconds of "decode", "preprocess", "network" and "postprocess"; masks are rendered later.
        embeddings: CLIP, with the vectors of objects that it gave so far; None without.
    """

    speed: Mapping[str, float] = field(default_factory=dict)
    embeddings: CropEmbeddings | None = None

    @classmethod
    def from_masks(
        cls,
        masks: Sequence[Mask],
        scores: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        *,
        image_size: tuple[int, int] | None = None,
        image: ByteArray | None = None,
        source: str | None = None,
        prompt_index: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        names: Mapping[int, str] | None = None,
        clip: Clip | str | os.PathLike[str] | None = None,
    ) -> Self:
        """A Segmentation of masks that exist already.

        Args:
            masks: At least one, or the photo or its size is needed.
            scores: (n,), 1 by default.
            boxes: (n, 4), the masks' own by default.
            image_size: (width, height).
            image: (H, W, 3) uint8 RGB; kept, not copied.
            source: File name of the photo.
            prompt_index: (n,).
            labels: (n,) index of each object's class.
            names: Name of each class by index; for labels alone.
            clip: Encoders for text prompts, as `FastSAM` takes them; these prompts need the image, too.

        Raises:
            OptionError: If the masks are of different photos, or there are not as many scores, boxes, indices or
                labels.
            ModelError: If `clip` is not a CLIP, or is not there.
            DownloadError: If it was asked for by name, is not here, and cannot be downloaded.
        """
        found = super().from_masks(
            masks,
            scores,
            boxes,
            image_size=image_size,
            image=image,
            source=source,
            prompt_index=prompt_index,
            labels=labels,
            names=names,
        )
        if clip is None:
            return found
        from fastsam_onnx.clip.clip import clip_of

        return replace(found, embeddings=CropEmbeddings(clip_of(clip)))

    def point_prompt(
        self, points: npt.ArrayLike, labels: npt.ArrayLike | None = None, *, pick: Pick = "candidate"
    ) -> Segmentation:
        """The objects that points mean.

        Args:
            points: (2,) or (k, 2): x, y in image pixels, all for one object; (g, k, 2) asks for g objects at once,
                none of them for nothing. A point outside the photo says nothing. A warning is logged where that is a
                foreground point, or all lie between 0 and 1, as shares of the size do.
            labels: One for every point: 1 foreground (the default), 0 background. Background alone means nothing.
            pick: Choice among the objects that the points may mean, each told at length in docs/prompts.md:

                - "candidate": of everything that the network offered, also below the threshold, the mask with the
                  highest score / area^(2/3) in which the first foreground point lies deep; the bundled models' decoder
                  draws three anew and says which to take. Each other point, in their order, corrects the answer so far.
                  Where there are only objects, as in a selection and in results of tiles and of tracking, "balanced".
                - "alternatives": that answer first, then others that the points may mean (a part, the thing, the
                  whole), three at most, most likely first, no two with an IoU above 0.7; Segment Anything's
                  `multimask_output`. Where there are only objects, the most balanced of these.
                - "all": the objects that hold a foreground point and no background point, smallest first; "balanced"
                  (the highest score / area^(2/3)), "smallest", "largest", "best" (the highest score): one of them,
                  among those that hold the most foreground points.
                - "merge": one object, by the paper's rule and the official code's: masks from large to small, each that
                  holds a foreground point is added, each that holds a background point taken away; with the highest
                  score of those that hold a foreground point.

        Returns:
            The chosen objects, `prompt_index` telling the group; empty if nothing is hit.

        Raises:
            PromptError: If the points or labels are malformed.
            OptionError: If `pick` is not known.
            ModelError: If the network's decoder cannot be used.
        """
        rules.check_pick(pick)
        groups, signs = rules.check_points(points, labels)
        rules.warn_of_points(groups, signs, self.image_size)
        asked = list(zip(groups, signs, strict=True))
        if pick in rules.OF_CANDIDATES:  # the others' rules ask each object about each point, whatever their order
            asked = [rules.telling(*group, self.image_size) for group in asked]
        if pick in rules.OF_CANDIDATES and self.candidates is not None:
            offered = self.candidates.keeping()
            if pick == "candidate":
                return answers.of_candidates(self, (clicks.for_points(offered, *each) for each in asked))
            return answers.of_alternatives(self, (clicks.alternatives_for_points(offered, *each) for each in asked))
        if pick == "candidate":
            pick = "balanced"
        chosen = [answers.of_points(self, *each, pick) for each in asked]
        if not chosen:
            return answers.of_rows(self, [])
        return Segmentation.concatenate(
            [replace(each, prompt_index=np.full(len(each), index, np.int64)) for index, each in enumerate(chosen)]
        )

    def box_prompt(
        self,
        boxes: npt.ArrayLike,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        match: Match = "candidate",
    ) -> Segmentation:
        """For each box the object that fits it best; points in it say what belongs to the object, and what does not.

        Args:
            boxes: (4,) or (b, 4): x1, y1, x2, y2 in image pixels; a warning is logged where one lies outside the photo,
                or all between 0 and 1. None of them, as a detector may find none, ask for nothing.
            points: (2,) or (k, 2) in image pixels for one box, (b, k, 2) for b boxes: each, in their order, corrects
                the answer so far, as people click where it is wrong. The bundled models' decoder is told of them;
                other models answer with an offer that fits and obeys, or discs around the points are added and cut out.
                Of objects those that obey most points are looked at.
            labels: One for every point: 1 where the object is (the default), 0 where it is not.
            match: Choice of what fits the box:

                - "candidate": the best of everything that the network offered, also below the threshold, cut to the
                  box, and drawn anew by the bundled models' decoder or, without one, enlarged where it leaves a side of
                  the box empty. Where there are only objects, as in a selection and in results of tiles and of
                  tracking, "mask".
                - "mask": the object whose pixels have the highest IoU with the box (the official code's rule).
                - "box": the object whose mask's own bounding box has it (the paper's).

        Returns:
            One object per box, in the order of the boxes, `prompt_index` telling which; none for a box that overlaps
            nothing.

        Raises:
            PromptError: If the boxes or points are malformed, there is not a group of points for each box, or a point
                where the object is lies outside its box.
            OptionError: If `match` is not known.
            ModelError: As in `point_prompt`.
        """
        rules.check_match(match)
        checked = rules.check_boxes(boxes)
        groups, signs = rules.check_box_points(checked, points, labels)
        rules.warn_of_boxes(checked, self.image_size)
        rules.warn_of_points(groups, signs, self.image_size)
        told = [rules.telling(*group, self.image_size) for group in zip(groups, signs, strict=True)]
        if match == "candidate" and self.candidates is not None:
            inside = rules.cut_to_photo(checked, self.image_size)
            offered, pairs = self.candidates.keeping(), zip(inside, told, strict=True)
            return answers.of_candidates(self, (offered.for_box(box, *points) for box, points in pairs))
        rows = [
            rules.closest_with_points(*each, self.masks, partial(rules.closest_to_box, box, match=match))
            for box, each in zip(checked, told, strict=True)
        ]
        return answers.of_rows(self, rows)

    def mask_prompt(
        self,
        masks: MaskPrompts,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        match: Match = "candidate",
    ) -> Segmentation:
        """For each mask the object that it means: a scribble, a lasso, another program's mask; points correct it.

        Args:
            masks: (H, W) or (k, H, W) of the photo's size, bool, or 0 and another number in the object; a `Mask`, an
                `Instance`, COCO's run lengths {"size", "counts"}, outlines {"size": [height, width], "polygons"} as
                `Mask.from_polygons` takes them, or a list of such masks; a result, such as the answer of another
                prompt. None of them ask for nothing. Numbers between 0 and 1 are refused: compare probabilities with a
                threshold first.
            points: (2,) or (k, 2) in image pixels for one mask, (b, k, 2) for b masks: each, in their order, corrects
                the answer so far, as people click where it is wrong.
            labels: One for every point: 1 where the object is (the default), 0 where it is not.
            match: Choice of what the mask means:

                - "candidate": an object that is nearly the mask (an IoU above 0.9); else, with the bundled models, what
                  they draw of it, or, of a stroke, thinner than a fifth of its length, what three clicks on it mean
                  together if that promises more. Other models: of a stroke these clicks, else the highest IoU among the
                  objects and everything that the network offered. Where there are only objects, "mask".
                - "mask": the object whose pixels have the highest IoU with the mask's.
                - "box": that of the masks' bounding boxes.

        Returns:
            One object per mask, in the order of the masks, `prompt_index` telling which; none for a mask that overlaps
            nothing.

        Raises:
            PromptError: If a mask is malformed, of another size than the photo, or has no pixels, points or labels are
                malformed, or there is not a group of points for each mask.
            OptionError, ModelError: As in `box_prompt`.
        """
        rules.check_match(match)
        checked = check_masks(masks, self.image_size)
        groups, signs = rules.check_corrections(len(checked), points, labels)
        rules.warn_of_points(groups, signs, self.image_size)
        told = [rules.telling(*group, self.image_size) for group in zip(groups, signs, strict=True)]
        pairs = list(zip(checked, told, strict=True))
        if match == "candidate" and self.candidates is not None:
            offered = self.candidates.keeping()
            return answers.of_candidates(self, (answers.for_mask(self, offered, mask, *each) for mask, each in pairs))
        rows = [
            rules.closest_with_points(*each, self.masks, partial(rules.closest_to_mask, mask, match=match))
            for mask, each in pairs
        ]
        return answers.of_rows(self, rows)

    def text_prompt(
        self,
        texts: str | Sequence[str],
        *,
        top_k: int | None = 1,
        threshold: float | None = None,
        negative: str | Sequence[str] = (),
        templates: Sequence[str] = text_prompts.NO_TEMPLATE,
        min_area: int = 100,
        crops: CropStyle | None = None,
        progress: CountProgress | None = None,
    ) -> Segmentation:
        """The objects that texts mean, by CLIP; the model needs `FastSAM(..., clip=...)`.

        The objects are embedded at the first text and kept: every further text costs one run of the text encoder.

        Args:
            texts: One, or several that are answered one by one.
            top_k: Maximum number of objects for each text, the most similar first; None for no limit, which makes
                sense with a threshold ("all dogs").
            threshold: Only objects whose cosine with the text is above it, -1 to 1. Unlike a softmax it does not depend
                on what else is in the photo, so it can say that nothing fits. What is a good one depends on the CLIP;
                for ViT-B/32 try 0.25, and look at `similarity`.
            negative: Only objects that are more similar to the text than to any of these.
            templates: As in `text_scores`.
            min_area: As in `text_scores`.
            crops: As in `text_scores`.
            progress: As in `text_scores`.

        Returns:
            The chosen objects, `prompt_index` telling the text and `similarity` the cosine with it; empty if nothing
            fits.

        Raises:
            PromptError: If there is no text, something that is not a text, or an empty text.
            OptionError: If an option is outside its range, or the result lacks CLIP or the photo.
            ModelError: If the files are not a CLIP.
        """
        from fastsam_onnx.clip.clip import check_texts

        rules.check_limits(top_k, threshold)
        has_rivals = not isinstance(negative, Sequence) or len(negative) > 0  # what is no list is refused as texts are
        others = check_texts(negative, "negative text") if has_rivals else []
        shared: dict[str, Any] = {"templates": templates, "min_area": min_area, "crops": crops, "progress": progress}
        cosines = self.text_scores(texts, **shared)
        rivals = self.text_scores(others, **shared).max(axis=0) if others else None
        chosen = [rules.most_similar(similarity, top_k, threshold, rivals) for similarity in cosines]
        index = np.concatenate(chosen)
        answered = np.repeat(np.arange(len(chosen), dtype=np.int64), [len(each) for each in chosen])
        return replace(self.take(index), prompt_index=answered, similarity=cosines[answered, index])

    def classify(
        self,
        texts: str | Sequence[str],
        *,
        threshold: float | None = None,
        other: str | None = None,
        templates: Sequence[str] = text_prompts.NO_TEMPLATE,
        min_area: int = 0,
        crops: CropStyle | None = None,
        progress: CountProgress | None = None,
    ) -> Segmentation:
        """The objects, each with the text that fits it best as its class: `labels`, `names` and `similarity`; by CLIP.

        Args:
            texts: Names of the classes, in the order of their indices.
            threshold: Cosine, -1 to 1, that an object must exceed to be of one of them; as in `text_prompt`.
            other: Name of the class of all other objects, the last one; None to leave these out.
            templates: As in `text_scores`.
            min_area: As in `text_scores`; by default none that has pixels.
            crops: As in `text_scores`.
            progress: As in `text_scores`.

        Raises:
            PromptError: As in `text_prompt`.
            OptionError: As in `text_prompt`, or if a name is given twice.
            ModelError: As in `text_prompt`.
        """
        rules.check_limits(None, threshold)
        names = text_prompts.class_names(texts, other)
        cosines = self.text_scores(texts, templates=templates, min_area=min_area, crops=crops, progress=progress)
        labels, similarity = rules.best_texts(cosines, threshold)
        kept = np.flatnonzero((labels < len(names)) & np.isfinite(cosines).all(axis=0))
        return replace(self.take(kept), labels=labels[kept], names=names, similarity=similarity[kept])

    def similar(
        self,
        example: Example,
        *,
        threshold: float | None = None,
        top_k: int | None = None,
        min_area: int = 100,
        crops: CropStyle | None = None,
        progress: CountProgress | None = None,
    ) -> Segmentation:
        """All objects that look like this one, by CLIP; the model needs `FastSAM(..., clip=...)`.

        There is no way without CLIP: colours, shapes and the network's own activations do not tell kinds apart well
        enough (docs/prompts.md has the figures).

        Args:
            example: Index of an object, an `Instance` or a `Mask` of this photo, or a result such as a prompt's
                answer, of this photo or of another one that it has with it, of whose objects one must be similar.
            threshold: Cosine, -1 to 1, that an object must exceed. What is a good one depends on the CLIP and on what
                should count as alike: look at `similarity` with `top_k` first.
            top_k: Maximum number of objects, the most similar first, the example among them if it is an object.
            min_area: Objects of this number of pixels or fewer are left out.
            crops: Way in which objects are cut out for CLIP; see `CropStyle`.
            progress: As in `text_scores`.

        Returns:
            The objects, the most similar first, `similarity` the cosine with the example, `prompt_index` the index of
            the example that each is most similar to.

        Raises:
            OptionError: If neither `threshold` nor `top_k` is given, one is outside its range, or the result lacks
                CLIP or the photo.
            PromptError: If the example is something else, has no pixels, or is of another photo, which is not known.
            ObjectIndexError: If there is no object of this index.
            ModelError: If the files are not a CLIP.
        """
        if threshold is None and top_k is None:
            raise OptionError("similar needs threshold= (a cosine) or top_k= (a number of objects), got neither")
        rules.check_limits(top_k, threshold)
        embeddings, image = self._needs_clip()
        cosines = embeddings.likeness(
            listed_examples(example, self, image),
            self.masks,
            image,
            min_area=options.integer("min_area", min_area, 0),
            style=text_prompts.check_style(crops),
            progress=progress,
        )
        best = cosines.max(axis=0, initial=-np.inf)
        index = rules.most_similar(best, top_k, threshold, None)
        nearest = cosines[:, index].argmax(axis=0) if len(cosines) else index
        return replace(self.take(index), prompt_index=np.asarray(nearest, np.int64), similarity=best[index])

    def text_scores(
        self,
        texts: str | Sequence[str],
        *,
        softmax: bool = False,
        templates: Sequence[str] = text_prompts.NO_TEMPLATE,
        min_area: int = 100,
        crops: CropStyle | None = None,
        progress: CountProgress | None = None,
    ) -> FloatArray:
        """The similarity of every object and every text.

        Args:
            texts: One or several.
            softmax: True gives, instead of cosines, their softmax over the objects (times 100, as the official code):
                how an object compares with the others, 1 in all for each text.
            templates: Each text is put in each of these for "{}", and the vectors are averaged; ("a photo of {}",) is
                what CLIP's authors advise.
            min_area: Objects of this number of pixels or fewer are left out, as the references do.
            crops: Way in which objects are cut out for CLIP; see `CropStyle`.
            progress: Called with the number of crops that are embedded and the number of all, if there are any.

        Returns:
            (texts, n) float32 cosines, -1 to 1; -inf (in a softmax 0) for objects that are left out.

        Raises:
            PromptError: As in `text_prompt`.
            OptionError: As in `text_prompt`.
            ModelError: As in `text_prompt`.
        """
        embeddings, image = self._needs_clip()
        min_area, style = options.integer("min_area", min_area, 0), text_prompts.check_style(crops)
        softmax = options.boolean("softmax", softmax)
        cosines = embeddings.cosines(
            texts, self.masks, image, min_area=min_area, templates=templates, style=style, progress=progress
        )
        return text_prompts.softmax(cosines) if softmax else cosines

    def _needs_clip(self) -> tuple[CropEmbeddings, ByteArray]:
        """CLIP with the vectors of objects, and the photo."""
        if self.embeddings is None:
            raise OptionError(f"this result lacks CLIP: {text_prompts.NEEDS}")
        if self.image is None:
            raise OptionError(
                "this result lacks the photo, which CLIP looks at; Segmentation.from_masks takes image=, "
                "dataclasses.replace(found, image=photo) adds it"
            )
        return self.embeddings, self.image

    def prompt(self, prompts: Chooser) -> Segmentation:
        """The objects that a `Prompts` means: its points, boxes, masks and texts, put together.

        Raises:
            PromptError: If it is something else, or as in `Prompts.choose`.
            OptionError: As in `Prompts.choose`.
            ModelError: Likewise.
        """
        if not isinstance(prompts, Chooser):
            raise PromptError(
                f"prompts must be a Prompts, such as Prompts(points=[620, 360]), got {options.shown(prompts)}; "
                "Prompts.from_value makes one of JSON's values"
            )
        return prompts.choose(self)

    def redrawn(self) -> Segmentation:
        """The same objects with closer outlines: each drawn anew by the decoder of the bundled models.

        It looks at the photo's own pixels around each object, some 2 ms for each. Those of which it sees something
        else, or not all, stay as they are. A result that was drawn anew, by `redraw` or by this, is given back.

        Raises:
            OptionError: If the network has no decoder, the result is not refined, or it lacks `candidates`, which
                the whole result of a call has.
            ModelError: If the decoder cannot be used.
        """
        from fastsam_onnx.results.redrawing import redrawn

        return redrawn(self, self.candidates)
