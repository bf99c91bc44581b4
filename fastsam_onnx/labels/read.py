"""Label files of any kind: which kind they are, and their photos, boxes and classes together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.files import is_file, is_folder
from fastsam_onnx.labels.boxes import LabelledBoxes
from fastsam_onnx.labels.coco import is_coco, read_coco
from fastsam_onnx.labels.entries import Entry, LeftOut, read_json
from fastsam_onnx.labels.labelme import is_labelme, read_labelme
from fastsam_onnx.labels.photos import Labels
from fastsam_onnx.labels.voc import read_voc
from fastsam_onnx.labels.yolo import find_names, is_beside_labels, read_yolo
from fastsam_onnx.log import warn

KINDS = {".txt": "YOLO", ".json": "labelme", ".xml": "Pascal VOC"}
"""The kinds that have a file for each photo, by its suffix."""
ACCEPTED = "a folder of YOLO's .txt, labelme's .json or Pascal VOC's .xml, or COCO's .json"
OURS = "our own JSON, which has masks already: `fastsam-onnx convert` writes it in other formats"
LABELME_MARK = ".labelme"
"""Ends the names, before .json, of labelme's files that this package writes beside its own."""


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """The boxes and classes that people have drawn: label files of YOLO, COCO, labelme or Pascal VOC.

    What is left out, such as crowds, points and boxes without area, is told by a warning.

    Args:
        path: A folder with a file for each photo, in it or in its folders, all of one kind: YOLO's .txt, with
            data.yaml, classes.txt or obj.names there or up to three folders above; labelme's .json; Pascal VOC's .xml.
            Or COCO's .json of all photos.

    Raises:
        PromptError: If there are no labels, they are of several kinds, or one is malformed; the message names the file,
            and the line or index in it.
        OptionError: If it is no path.
    """
    path = options.path("path", path)
    left_out = LeftOut()
    labels = _read_folder(path, left_out) if is_folder(path) else _read_file(path, left_out)
    left_out.tell()
    return labels


def _read_file(path: Path, left_out: LeftOut) -> Labels:
    """The labels of a COCO file."""
    if is_file(path) and path.suffix.lower() != ".json":
        raise PromptError(f"labels must be {ACCEPTED}, got {path}; of label files name the folder")
    document = read_json(path)
    if is_coco(document):
        coco = read_coco(document, str(path), left_out)
        photos = [(each.name, _boxes(each, coco.names)) for each in coco.entries]
        return Labels(photos, coco.names, (path,), coco.category_ids, has_suffixes=True)
    if is_labelme(document):
        raise PromptError(f"labels must be {ACCEPTED}; {path} is labelme's, of one photo: name its folder")
    if _is_ours(document):
        raise PromptError(f"labels must be {ACCEPTED}; {path} is {OURS}")
    raise PromptError(f"labels must be {ACCEPTED}; {path} has no images and annotations, but {options.shown(document)}")


def _read_folder(folder: Path, left_out: LeftOut) -> Labels:
    """The labels of a folder with a file for each photo."""
    files = _files(folder)
    texts = [each for each in files if each.suffix.lower() == ".txt"]
    names, names_files = find_names(folder, texts) if texts else (None, [])
    entries: dict[str, list[Entry]] = {suffix: [] for suffix in KINDS}
    strangers: dict[str, list[Path]] = {suffix: [] for suffix in KINDS}
    for file in files:
        suffix = file.suffix.lower()
        entry = _entry(file, folder, names, left_out)
        if entry is not None:
            entries[suffix].append(entry)
        elif not is_beside_labels(file):
            strangers[suffix].append(file)
    suffix = _kind(folder, entries, strangers)
    if strangers[suffix]:
        raise PromptError(
            f"{strangers[suffix][0]} is no label file of {KINDS[suffix]}, as others in {folder} are; take it away, or "
            "mend it"
        )
    return _of_names(entries[suffix]) if suffix != ".txt" else _of_indices(folder, entries[suffix], names, names_files)


def _files(folder: Path) -> list[Path]:
    """The files in a folder, and in its folders, that may be labels, sorted; hidden ones are none."""
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for each in folders:
            if Path(place, each).is_symlink():  # it may lead back
                warn("%s is a link to a folder and is not searched for labels", Path(place, each))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in KINDS and is_file(path))


def _refuse(error: OSError) -> None:
    raise PromptError(f"cannot read the folder {error.filename}: {error.strerror or error}") from error


def _entry(file: Path, folder: Path, names: Mapping[int, str] | None, left_out: LeftOut) -> Entry | None:
    """The boxes of a file; None if it holds no labels."""
    name = file.relative_to(folder).with_suffix("").as_posix()
    if file.suffix.lower() == ".txt":
        return read_yolo(file, name, names, left_out)
    if file.suffix.lower() == ".xml":
        return read_voc(file, name, left_out)
    document = read_json(file)
    if is_coco(document):
        raise PromptError(
            f"{file} is a COCO file, of many photos: name it itself, or a folder without it; in a folder each photo "
            "has a file"
        )
    if not is_labelme(document):
        return None
    return read_labelme(document, name.removesuffix(LABELME_MARK), str(file), left_out)


def _kind(folder: Path, entries: Mapping[str, Sequence[Entry]], strangers: Mapping[str, Sequence[Path]]) -> str:
    """The suffix of the only kind of labels that there is; an empty .txt can be anything."""
    sure = [
        suffix for suffix, found in entries.items() if any(each.boxes for each in found) or (found and suffix != ".txt")
    ]
    if len(sure) > 1:
        told = " and ".join(f"{KINDS[suffix]} ({entries[suffix][0].place})" for suffix in sure)
        raise PromptError(f"labels must be of one kind, got {told}; name a folder with one of them")
    if sure or entries[".txt"]:
        return sure[0] if sure else ".txt"
    others = [path for paths in strangers.values() for path in paths]
    found = f"it has {others[0]}" if others else "it has no such files"
    if others and others[0].suffix.lower() == ".json" and _is_ours(read_json(others[0])):
        found = f"{others[0]} is {OURS}"
    raise PromptError(f"labels must be {ACCEPTED}; there are none in {folder}: {found}")


def _is_ours(document: Any) -> bool:
    return isinstance(document, dict) and document.get("format") == "fastsam-onnx"


def _of_names(entries: Sequence[Entry]) -> Labels:
    """Labels of classes that are known by their names: sorted, these have the indices."""
    names = dict(enumerate(sorted({str(kind) for each in entries for kind in each.classes})))
    index = {name: place for place, name in names.items()}
    photos = [(each.name, _boxes(each, names, index)) for each in entries]
    return Labels(photos, names, [Path(each.place) for each in entries])


def _of_indices(
    folder: Path, entries: Sequence[Entry], names: Mapping[int, str] | None, names_files: Sequence[Path]
) -> Labels:
    """Labels of classes that are known by their indices."""
    if names is None:
        names = {index: str(index) for index in sorted({int(kind) for each in entries for kind in each.classes})}
        warn(
            "nothing names the classes of %s: they are called by their indices; write the names into classes.txt",
            folder,
        )
    photos = [(each.name, _boxes(each, names)) for each in entries]
    return Labels(photos, names, [*(Path(each.place) for each in entries), *names_files])


def _boxes(entry: Entry, names: Mapping[int, str], index: Mapping[str, int] | None = None) -> LabelledBoxes:
    """The boxes of an entry; of classes known by their names, these have the given indices."""
    kinds = entry.classes if index is None else [index[str(kind)] for kind in entry.classes]
    boxes = np.array(entry.boxes, np.float64).reshape(-1, 4)
    return LabelledBoxes(boxes, np.array(kinds, np.int64), names, entry.size, entry.place, entry.image_id)
