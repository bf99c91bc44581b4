"""Points, boxes, masks and texts that are put to a photo, as one value, with the options that choose among answers.

The classes to look among, and the names that the chosen objects get, are a part of it.

The command line, the server and the function in examples/ read their prompts into it and choose by it, so that the
same words mean the same objects everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.masks.instances import check_found
from fastsam_onnx.results.mask_prompts import MaskPrompts, limited_masks, listed_masks
from fastsam_onnx.results.rules import (
    OF_CANDIDATES,
    Match,
    Pick,
    check_box_points,
    check_boxes,
    check_corrections,
    check_limits,
    check_match,
    check_pick,
    check_points,
)
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.results.text_prompts import class_names

OPTIONS: Mapping[str, Sequence[str]] = {
    "labels": ("points",),
    "pick": ("points",),
    "match": ("boxes", "masks"),
    "box_points": ("boxes",),
    "box_labels": ("box_points",),
    "mask_points": ("masks",),
    "mask_labels": ("mask_points",),
    "top_k": ("texts",),
    "negative": ("texts",),
    "threshold": ("texts", "classify"),
    "other": ("classify",),
    "similar": ("points", "boxes", "masks", "texts"),
}
"""The options, and the kinds of prompts that each belongs to."""

AGREED = ("pick", "match", "top_k", "negative", "threshold", "classes", "classify", "other", "similar")
"""The fields that two values must not set differently to be joined."""

CORRECTIONS = ("box_points", "box_labels", "mask_points", "mask_labels")
"""The fields of points that correct the answers to boxes and masks: one value alone may have them."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """Points, boxes, masks and texts that are put to one photo together; without any, every object is meant.

    Attributes:
        points: (2,), (k, 2) or (g, k, 2) x, y in image pixels, as `Segmentation.point_prompt` takes them.
        labels: 1 (foreground) or 0 (background) for each point; foreground by default.
        boxes: (4,) or (k, 4) x1, y1, x2, y2 in image pixels; each asks for one object.
        texts: One text or several; each asks for objects of its own.
        pick: Answer to points that lie on several objects, as in `Segmentation.point_prompt`.
        match: Measure of the fit to a box or a mask, as in `Segmentation.box_prompt` and `mask_prompt`.
        top_k: Maximum number of objects for each text; None for no limit.
        threshold: Cosine that an object's similarity to a text, or to one of `classify`, must exceed, -1 to 1; None for
            no limit.
        masks: One mask or several of the photo's size, as `Segmentation.mask_prompt` takes them; each asks for one
            object. In JSON COCO's run lengths, {"size": [height, width], "counts"}, or outlines, {"size", "polygons"}.
        classes: Names or indices of the network's classes: prompts look among objects of these; None for all.
        classify: Texts of which each chosen object gets the one that fits it best as its class, as in
            `Segmentation.classify`.
        other: Class of the chosen objects that fit none of `classify`; None to leave these out.
        box_points: (2,) or (k, 2) x, y in the box, for several boxes (b, k, 2), as `Segmentation.box_prompt` takes
            points: corrections of their answers.
        box_labels: 1 (the object is there) or 0 (it is not) for each of them; 1 by default.
        mask_points: The same for masks, as `Segmentation.mask_prompt` takes points.
        mask_labels: As `box_labels`, for these.
        negative: Texts that an object must be less similar to than to one of `texts` to answer it.
        similar: Cosine, -1 to 1, as in `Segmentation.similar`: all objects that are more similar than this to one of
            those that the prompts mean, in their place; None for these alone.
    """

    points: npt.ArrayLike | None = None
    labels: npt.ArrayLike | None = None
    boxes: npt.ArrayLike | None = None
    texts: str | Sequence[str] | None = None
    pick: Pick = "candidate"
    match: Match = "candidate"
    top_k: int | None = 1
    threshold: float | None = None
    masks: MaskPrompts | None = None
    classes: str | int | Sequence[str | int] | None = None
    classify: str | Sequence[str] | None = None
    other: str | None = None
    similar: float | None = None
    box_points: npt.ArrayLike | None = None
    box_labels: npt.ArrayLike | None = None
    mask_points: npt.ArrayLike | None = None
    mask_labels: npt.ArrayLike | None = None
    negative: str | Sequence[str] | None = None

    @classmethod
    def from_json(cls, text: str | bytes) -> Prompts:
        """Prompts from JSON text; see `from_value`.

        Raises:
            PromptError: If it is not JSON, or as in `from_value`.
        """
        return cls.from_value(options.json_value("prompts", text, error=PromptError))

    @classmethod
    def from_value(cls, given: Any) -> Prompts:
        """Prompts from the values of a JSON text.

        Args:
            given: An object with names of the fields, `{"points": [[620, 360]], "pick": "largest"}`, where null asks
                for nothing; or the list that rembg and samexporter share, `[{"type": "point", "data": [x, y],
                "label": 1}, {"type": "rectangle", "data": [x1, y1, x2, y2]}]`, whose points all mean one object. Of a
                list's entries, other keys and a rectangle's label are ignored; a point without a label is foreground.

        Raises:
            PromptError: If it is something else, a name is not known, or an option is given without the prompts that
                it belongs to.
        """
        if isinstance(given, list):
            return _from_entries(given)
        if not isinstance(given, dict):
            raise PromptError(f"prompts must be an object or a list, got {options.shown(given)}")
        names = [field.name for field in fields(cls)]
        unknown = [str(name)[:80] for name in given if name not in names]
        if unknown:
            raise PromptError(f"prompts must be among {', '.join(names)}, got {', '.join(map(repr, unknown[:5]))}")
        _check_belonging(given)
        return cls(**given)

    @property
    def needs_clip(self) -> bool:
        """True if they can be answered by CLIP alone."""
        return any(one is not None for one in (self.texts, self.classify, self.similar))

    @property
    def needs_objects(self) -> bool:
        """True if the objects that a call finds matter: without prompts, or if these choose among the objects, too.

        In tiles they always do: there is nothing else to choose from.

        Raises:
            OptionError: If `pick` or `match` is not known.
        """
        if any(one is not None for one in (self.masks, self.texts, self.similar, self.classes)):
            return True
        if self.points is None and self.boxes is None:
            return True
        check_pick(self.pick)
        check_match(self.match)
        return (self.points is not None and self.pick not in OF_CANDIDATES) or (
            self.boxes is not None and self.match not in OF_CANDIDATES
        )

    @property
    def names(self) -> dict[int, str] | None:
        """Names of the classes that `classify` and `other` give, by index; None without.

        Raises:
            PromptError: If one is not a text, or empty.
            OptionError: If a name is there twice.
        """
        return None if self.classify is None else class_names(self.classify, self.other)

    @property
    def count(self) -> int:
        """Number of points, boxes, masks and texts, together; corrections, `negative` and `classify` count, too.

        Raises:
            PromptError: If points, boxes or masks are malformed.
        """
        points = sum(foreground.size for _, foreground in self._all_points())
        return points + self._asked_singly() + len(listed(self.negative)) + len(listed(self.classify))

    @property
    def asked(self) -> int:
        """Number of objects that are asked for: `prompt_index` is below it.

        Raises:
            PromptError: If points, boxes or masks are malformed.
        """
        groups = 0 if self.points is None else len(check_points(self.points, self.labels)[0])
        return groups + self._asked_singly()

    def _asked_singly(self) -> int:
        """Number of boxes, masks and texts, each of which asks for one object."""
        boxes = 0 if self.boxes is None else len(check_boxes(self.boxes))
        masks = 0 if self.masks is None else len(listed_masks(self.masks))
        return boxes + masks + len(listed(self.texts))

    def format_options(self, form: str) -> dict[str, Any]:
        """Options of a format that come from the prompts: an overlay shows the points of all objects, and the boxes.

        Raises:
            PromptError: If points, boxes or masks are malformed.
        """
        if form != "overlay":
            return {}
        shown: dict[str, Any] = {"boxes": None if self.boxes is None else check_boxes(self.boxes)}
        parts = self._all_points()
        if sum(foreground.size for _, foreground in parts):
            points = np.concatenate([groups.reshape(-1, 2) for groups, _ in parts])
            labels = np.concatenate([foreground.reshape(-1) for _, foreground in parts])
            shown |= {"points": points, "point_labels": labels}
        return shown

    def _all_points(self) -> list[tuple[npt.NDArray[np.float64], BoolArray]]:
        """Points, those in boxes and those that correct masks, (g, k, 2) each, and which are foreground."""
        parts = [] if self.points is None else [check_points(self.points, self.labels)]
        parts += [] if self.boxes is None else [self._box_points()]
        return parts + ([] if self.masks is None else [self._mask_points()])

    def _mask_points(self) -> tuple[npt.NDArray[np.float64], BoolArray]:
        """Points that correct the answers to masks; see `check_corrections`."""
        assert self.masks is not None
        return check_corrections(len(listed_masks(self.masks)), self.mask_points, self.mask_labels, prefix="mask_")

    def _box_points(self) -> tuple[npt.NDArray[np.float64], BoolArray]:
        """Points in the boxes, (b, k, 2), and which are foreground; see `check_box_points`."""
        assert self.boxes is not None
        return check_box_points(check_boxes(self.boxes), self.box_points, self.box_labels, "box_")

    def limited(self, pixels: int) -> Prompts:
        """The prompts of a stranger, masks as `Mask`; see `mask_prompts.limited_masks`.

        Args:
            pixels: Maximum number of pixels of all masks together.

        Raises:
            PromptError: If masks are malformed or too large.
        """
        return self if self.masks is None else replace(self, masks=limited_masks(self.masks, pixels))

    def check(self) -> None:
        """Raise unless every prompt and option can mean something.

        Raises:
            PromptError: If a prompt is malformed, a list of them empty, an option is given without the prompts that it
                belongs to, or all points that ask for an object are background.
            OptionError: If an option is not accepted.
        """
        check_pick(self.pick)
        check_match(self.match)
        check_limits(self.top_k, self.threshold)
        by_default = {name: None for name in OPTIONS if _plain(getattr(self, name)) == getattr(Prompts, name)}
        _check_belonging({**vars(self), **by_default})
        if self.similar is not None:
            options.cosine("similar", self.similar)
        if self.points is not None:
            groups, foreground = check_points(self.points, self.labels)
            _check_some("points", groups)
            if not foreground.any(axis=1).all():
                raise PromptError("background points alone mean no object; give a foreground point (label 1) too")
        if self.boxes is not None:
            _check_some("boxes", self._box_points()[0])
        if self.masks is not None:
            _check_some("masks", self._mask_points()[0])
        self._check_texts()
        self._check_classes()
        if self.classify is not None:
            class_names(self.classify, self.other)

    def _check_texts(self) -> None:
        """Raise unless there are texts that can be compared, or none."""
        for texts, name in ((self.texts, "text prompt"), (self.negative, "negative text")):
            if texts is not None:
                from fastsam_onnx.clip.clip import check_texts

                check_texts(texts, name)

    def _check_classes(self) -> None:
        """Raise unless there are names or indices of classes, or None for all."""
        if self.classes is not None:
            _check_some("classes", listed(self.classes))
        for one in listed(self.classes):
            if isinstance(one, bool) or not isinstance(one, str | int | np.integer):
                raise PromptError(f"classes must be names or indices of classes, got {options.shown(one)}")

    def choose(self, found: Segmentation) -> Segmentation:
        """The objects that are meant: those of the points first, then of the boxes, the masks and the texts.

        With `similar`, all objects like them, the most similar first.

        Returns:
            The chosen objects, `prompt_index` counting on from each kind to the next; all without prompts. With
            `classify` those that got a class.

        Raises:
            PromptError: As in `check`, or if a mask has another size than the photo.
            OptionError: As in `check`, if there are texts, `similar` or `classify` and the result lacks CLIP or the
                photo, or if the network does not know one of `classes`.
            ModelError: If the files of CLIP cannot be used.
        """
        check_found(found)
        put = self if self.masks is None else replace(self, masks=listed_masks(self.masks))  # outlines are filled once
        put.check()
        if self.classes is not None:
            found = found.of_class(*listed(self.classes))
        chosen = put._answers(found)
        if self.classify is None:
            return chosen
        return chosen.classify(self.classify, threshold=self.threshold, other=self.other)

    def _answers(self, found: Segmentation) -> Segmentation:
        answers = []
        if self.points is not None:
            groups, foreground = check_points(self.points, self.labels)
            answers.append((found.point_prompt(groups, foreground, pick=self.pick), len(groups)))
        if self.boxes is not None:
            boxes = check_boxes(self.boxes)
            answers.append((found.box_prompt(boxes, self.box_points, self.box_labels, match=self.match), len(boxes)))
        if self.masks is not None:
            masks = listed_masks(self.masks)
            answers.append((found.mask_prompt(masks, self.mask_points, self.mask_labels, match=self.match), len(masks)))
        if self.texts is not None:
            texts = listed(self.texts)
            negative = () if self.negative is None else self.negative
            answer = found.text_prompt(texts, top_k=self.top_k, threshold=self.threshold, negative=negative)
            answers.append((answer, len(texts)))
        if not answers:
            return found
        chosen = _join_answers(answers)
        return chosen if self.similar is None else found.similar(chosen, threshold=self.similar)

    def joined(self, other: Prompts) -> Prompts:
        """These prompts and another's; the points of both ask for one object together.

        Raises:
            PromptError: If both have points, and these ask for several objects, or are malformed; if both have boxes,
                or masks, one of them with points that correct these; or if the other is no Prompts.
            OptionError: If both set an option, differently.
        """
        if not isinstance(other, Prompts):
            raise PromptError(f"prompts can be joined with a Prompts alone, got {options.shown(other)}")
        points, labels = self.points, self.labels
        if points is None:
            points, labels = other.points, other.labels
        elif other.points is not None:
            pairs = [check_points(each.points, each.labels) for each in (self, other) if each.points is not None]
            if any(len(groups) != 1 for groups, _ in pairs):
                raise PromptError(
                    "points that ask for several objects or none, (g, k, 2), cannot be joined with others"
                )
            points, labels = (np.concatenate(arrays, axis=1)[0] for arrays in zip(*pairs, strict=True))
        correcting = {name: self._agreed(other, name) for name in CORRECTIONS}
        if correcting["box_points"] is not None and self.boxes is not None and other.boxes is not None:
            raise PromptError("boxes with points in them cannot be joined with other boxes")
        if correcting["mask_points"] is not None and self.masks is not None and other.masks is not None:
            raise PromptError("masks with points that correct them cannot be joined with other masks")
        both = [check_boxes(each.boxes) for each in (self, other) if each.boxes is not None]
        masks = [listed_masks(each.masks) for each in (self, other) if each.masks is not None]
        texts = [*listed(self.texts), *listed(other.texts)]
        return replace(
            self,
            points=points,
            labels=labels,
            boxes=np.concatenate(both) if both else None,
            masks=[*chain(*masks)] if masks else None,
            texts=texts or None,
            **correcting,
            **{name: self._agreed(other, name) for name in AGREED},
        )

    def _agreed(self, other: Prompts, name: str) -> Any:
        ours, theirs, default = (_plain(getattr(each, name)) for each in (self, other, Prompts))
        if ours != default and theirs not in (default, ours):
            raise OptionError(f"{name} is given twice, as {options.shown(ours)} and {options.shown(theirs)}")
        return theirs if ours == default else ours


def _plain(given: Any) -> Any:
    """A value that == compares as a whole, whichever kind of list it is."""
    if isinstance(given, list | tuple):
        return [_plain(each) for each in given]
    return given.tolist() if isinstance(given, np.ndarray) else given


def _check_belonging(given: Mapping[str, Any]) -> None:
    """Raise a PromptError if an option is given without any of the prompts that it belongs to.

    Args:
        given: Values by the names of the fields; what is missing or None is not given.
    """
    for name, kinds in OPTIONS.items():
        if given.get(name) is not None and all(given.get(kind) is None for kind in kinds):
            raise PromptError(f"{name} is given without {' or '.join(kinds)}")


def _check_some(name: str, prompts: Sized) -> None:
    """Raise if there is none: whether an empty list means everything or nothing is not for us to say."""
    if not len(prompts):
        raise PromptError(f"{name} must be at least one, got none; leave {name} out to ask for everything")


def listed(given: Any) -> list[Any]:
    """One or several as a list, empty for None."""
    is_list = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim)
    return [] if given is None else list(given) if is_list else [given]


def _join_answers(answers: Iterable[tuple[Segmentation, int]]) -> Segmentation:
    """The answers of several prompts about one photo as one, `prompt_index` counting on from each to the next.

    Args:
        answers: At least one, each with the number of objects that were asked for.
    """
    counted, first = [], 0
    for answer, asked in answers:
        index = answer.prompt_index
        counted.append(answer if index is None else replace(answer, prompt_index=index + first))
        first += asked
    return Segmentation.concatenate(counted)


def coordinates(text: str, form: str) -> tuple[float, ...]:
    """Coordinates from text.

    Args:
        text: Numbers with commas between them, such as "620,360".
        form: Their names, such as "X,Y".

    Raises:
        PromptError: If there are not as many finite numbers.
    """
    given = [options.plain_number(part) for part in text.split(",")]
    numbers = tuple(part for part in given if part is not None and math.isfinite(part))
    if len(numbers) < len(given) or len(given) != form.count(",") + 1:
        raise PromptError(f"coordinates must be {form}, numbers in image pixels without spaces, got {text!r}")
    return numbers


def _from_entries(entries: Sequence[Any]) -> Prompts:
    _check_some("prompts", entries)
    points, labels, boxes = [], [], []
    for index, entry in enumerate(entries):
        kind = entry.get("type") if isinstance(entry, dict) else None
        try:
            if kind == "point":
                points.append(_data(entry, "x, y"))
                labels.append(options.integer("label", entry.get("label", 1), 0, 1, error=PromptError))
            elif kind == "rectangle":
                boxes.append(_data(entry, "x1, y1, x2, y2"))
            else:
                raise PromptError(
                    'an entry must be {"type": "point", "data": [x, y], "label": 1} or '
                    f'{{"type": "rectangle", "data": [x1, y1, x2, y2]}}, got {options.shown(entry)}'
                )
        except PromptError as error:
            raise PromptError(f"entry {index}: {error}") from None
    return Prompts(points or None, labels or None, boxes or None)


def _data(entry: Mapping[str, Any], form: str) -> tuple[float, ...]:
    data = entry.get("data")
    if not isinstance(data, list) or len(data) != form.count(",") + 1:
        raise PromptError(f"data must be [{form}] in image pixels, got {options.shown(data)}")
    return tuple(options.number("data", value, -1e9, 1e9, error=PromptError) for value in data)
