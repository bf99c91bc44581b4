"""The labels of many photos, and which of them are a photo's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels.boxes import LabelledBoxes

IN_PARALLEL = ("images", "labels")
"""Folders that stand for each other: the labels of set/images/a.jpg are set/labels/a.txt."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of all photos of a folder or a file, from `read_labels`.

    Attributes:
        photos: (name, boxes) of each photo. The name is its path as the labels know it, with slashes: with its suffix
            if a file holds all photos, without if each has a file.
        names: Name of each class by index.
        files: The files that were read, those with names of classes among them.
        category_ids: COCO's id of each class by index, for `to_coco(category_id=)`; None where classes have no ids.
        has_suffixes: True if the names of photos have their suffixes.
    """

    photos: Sequence[tuple[str, LabelledBoxes]] = field(repr=False)
    names: Mapping[int, str]
    files: Sequence[Path] = field(repr=False)
    category_ids: tuple[int, ...] | None = None
    has_suffixes: bool = False

    def __len__(self) -> int:
        """Number of photos, those without boxes among them."""
        return len(self.photos)

    def __contains__(self, path: str | os.PathLike[str]) -> bool:
        """True if there are labels of this photo.

        Raises:
            PromptError: As in `of`.
        """
        return self._index(path) is not None

    def of(self, path: str | os.PathLike[str]) -> LabelledBoxes:
        """The boxes of a photo: those whose name has the longest end in common with its path; none without labels.

        Folders "images" and "labels" in paths do not count, nor does the photo's suffix where each photo has a file.

        Args:
            path: Path of the photo.

        Raises:
            PromptError: If labels of several photos may be meant.
            OptionError: If it is no path.
        """
        index = self._index(path)
        if index is None:
            return LabelledBoxes(np.zeros((0, 4)), np.zeros(0, np.int64), self.names)
        return self.photos[index][1]

    def lacking(self, paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
        """The photos that have no labels.

        Raises:
            PromptError: If none of them has any, or the same ones are meant by two of them; or as in `of`.
        """
        found: dict[int, Path] = {}
        lacking = []
        for path in (options.path("path", each) for each in paths):
            index = self._index(path)
            if index is None:
                lacking.append(path)
            elif found.setdefault(index, path) != path:
                raise PromptError(
                    f"{found[index]} and {path} would both have the labels {self._place(index)}: which of them they "
                    "are of cannot be told; take the other photos away, or give their labels, too"
                )
        if lacking and not found:
            known = self.photos[0][0] if self.photos else ""
            raise PromptError(
                f"no photo has labels: they are of {len(self)} photos with names such as {known!r}, and the photos "
                f"are {len(lacking)} such as {lacking[0]}; names must be the same"
                + ("" if self.has_suffixes else ", but for the suffix")
            )
        return lacking

    def _index(self, path: str | os.PathLike[str]) -> int | None:
        """The labels of a photo; those that end as its path does, to the longest."""
        *folders, name = _parts(os.path.abspath(options.path("path", path)))  # noqa: PTH100 (without "..", links kept)
        names = [name] if self.has_suffixes else [name, name.rpartition(".")[0] or name]  # a.jpg.txt before a.txt
        ends = ((*folders[start:], each) for start in range(len(folders) + 1) for each in dict.fromkeys(names))
        longest = next((end for end in ends if end in self._by_end), ())
        known = [index for each in dict.fromkeys(names) for index in self._by_end.get((*longest[:-1], each), ())]
        ranks = [self._rank(index, len(longest), name) for index in known]
        best = [index for index, rank in zip(known, ranks, strict=True) if rank == max(ranks)]
        if len(best) > 1:
            raise PromptError(
                f"the labels of {path} may be {self._place(best[0])} or {self._place(best[1])}; name the folder of "
                "one of them, or take the other away"
            )
        return best[0] if best else None

    def _rank(self, index: int, common: int, name: str) -> tuple[bool, bool]:
        """If a path has all parts of the labels' name, `common`, at its end; if the suffix is in the name, too."""
        ours = _parts(self.photos[index][0])
        return common == len(ours), ours[-1] == name

    @cached_property
    def _by_end(self) -> Mapping[tuple[str, ...], list[int]]:
        """The labels by each end of the parts of their names: where folders repeat names, scanning would take hours."""
        known: dict[tuple[str, ...], list[int]] = {}
        for index, (name, _) in enumerate(self.photos):
            parts = _parts(name)
            for start in range(len(parts)):
                known.setdefault(parts[start:], []).append(index)
        return known

    def _place(self, index: int) -> str:
        name, boxes = self.photos[index]
        return f"{boxes.place} ({name})" if self.has_suffixes else boxes.place or name


def _parts(path: str) -> tuple[str, ...]:
    """The parts of a path, without folders that only say what is in them; the last one is the name."""
    *folders, name = PurePosixPath(Path(path).as_posix()).parts or ("",)
    return (*(each for each in folders if each not in IN_PARALLEL), name)
