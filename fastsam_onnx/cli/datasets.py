"""Files of a whole run beside those of each photo: a COCO data set, and the data.yaml of YOLO's label files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastsam_onnx.cli.common import file_key, make_folder
from fastsam_onnx.cli.photos import Photo, file_name, is_folder_name, relative_path
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.files import is_file, why_unread, write_file
from fastsam_onnx.formats.categories import listed_categories
from fastsam_onnx.formats.coco_dataset import COCO_DATASET, FILE_NAME, CocoDataset
from fastsam_onnx.formats.yolo import DATA_FILE, folders_of_data, yolo_data
from fastsam_onnx.formats.yolo_names import names_of_data
from fastsam_onnx.log import warn

_LABEL = re.compile(rb"\s*\d+(?: +-?\d*\.?\d+(?:e-?\d+)?){4}")
DESCRIPTION = "a COCO data set of all photos, in the folder --output"


@contextmanager
def open_dataset(
    formats: Sequence[str] | None,
    output: str | None,
    categories: Mapping[int, str] | None = None,
    image_ids: Sequence[int] = (),
) -> Iterator[CocoDataset | None]:
    """Give the data set of a run, if one is wanted; it is written when the run ends, however it ends.

    Args:
        formats: Names of formats.
        output: Folder of the results.
        categories: Names of classes by the ids that they must have; None for ids of the data set's own.
        image_ids: Ids that photos will be added with.

    Raises:
        OptionError: If the output is not a folder.
        OutputError: If the data set cannot be added to, cannot be written, or has other ids.
    """
    if COCO_DATASET not in (formats or ()):
        yield None
        return
    if output is None or not is_folder_name(output):
        given = "none" if output is None else output
        raise OptionError(f"--format {COCO_DATASET} needs --output FOLDER, the folder of the data set, got {given}")
    make_folder(Path(output))
    with CocoDataset(Path(output, FILE_NAME), categories, image_ids=image_ids) as dataset:
        yield dataset


def close_dataset(dataset: CocoDataset) -> str:
    """Write the data set. Returns why it could not be written; nothing otherwise."""
    try:
        dataset.close()
    except OutputError as error:
        return str(error)
    return ""


def check_named(photos: Sequence[Photo]) -> None:
    """Raise OptionError if there is a photo without a name, from standard input."""
    if any(photo.path is None for photo in photos):
        raise OptionError(f"--format {COCO_DATASET} needs photos with names, got standard input")


def entry_names(photos: Sequence[Photo], dataset: CocoDataset) -> list[str]:
    """A name in the data set for each photo: `file_name`, or its path if others have that name or this one is there.

    Raises:
        OutputError: If an earlier run has added a photo by a name that several have now: it may be any of them.
    """
    short = [file_name(photo) or "" for photo in photos]
    paths = [(photo.path or Path()).as_posix() for photo in photos]
    count = Counter(short)
    for name, path in zip(short, paths, strict=True):
        if count[name] > 1 and name in dataset and path not in dataset:
            raise OutputError(
                f"{dataset.path} has {name}, and this run has several photos of that name, such as {path}: which of "
                "them it has cannot be told; name another folder with --output"
            )
    names = [path if count[name] > 1 or path in dataset else name for name, path in zip(short, paths, strict=True)]
    _tell_of_paths(names, short)
    return names


def _tell_of_paths(names: Sequence[str], short: Sequence[str]) -> None:
    """Log a warning if a photo is named by a path, which is another one in a run from another folder."""
    if path := next((long for long, name in zip(names, short, strict=True) if long != name), None):
        warn(
            "%s is its name in the data set, because others have the name too; a run that writes this path otherwise, "
            "such as from another folder, would add the photo again; name one folder that holds all, with --recursive",
            path,
        )


def write_yolo_data(
    formats: Sequence[str] | None,
    output: str | None,
    photos: Sequence[Photo],
    classes: Mapping[int, str] | None,
    *,
    read: Sequence[Path] = (),
    written: Sequence[Path] = (),
    overwrite: bool,
) -> None:
    """Write data.yaml beside YOLO's label files, if these go to a folder.

    One that an earlier run wrote gets the folders that it lacks; one that somebody wrote stays, and what it lacks is
    told. So is where trainers would not find the labels, or by which names.

    Args:
        formats: Names of formats.
        output: Folder of the results.
        photos: All of the run.
        classes: Names of the network's classes by index; None if it tells none apart.
        read: Files of labels that the run reads, which stay where they are.
        written: Files of labels that the run will write.
        overwrite: True to replace the names in one that an earlier run wrote, if no labels are left that have them.

    Raises:
        OutputError: If it cannot be written, or the one that is there has other names for these classes.
    """
    if "yolo" not in (formats or ()) or output == "-" or (output is not None and not is_folder_name(output)):
        return
    if output is None:
        _tell_of_unnamed(classes)
        return
    path = Path(output, DATA_FILE)
    names = listed_categories(classes)
    folders = dict.fromkeys(photo.folder or photo.path.parent for photo in photos if photo.path is not None)
    listed = [relative_path(folder, path.parent) for folder in folders]
    _tell_of_lost_labels(path.parent, photos, read)
    _tell_of_shared_labels(photos)
    if is_file(path):
        _add_to_data(path, listed, names, written, overwrite=overwrite)
        return
    make_folder(path.parent)
    write_file(path, [yolo_data(listed, names).encode("utf-8")])


def _tell_of_unnamed(classes: Mapping[int, str] | None) -> None:
    """Log a warning if labels beside their photos have numbers of classes that nothing names."""
    if classes is not None and len(classes) > 1:
        warn(
            "no %s says that class 0 of these labels is %r, and so on: --output FOLDER writes it beside them",
            *(DATA_FILE, listed_categories(classes)[0]),
        )


def _tell_of_lost_labels(output: Path, photos: Sequence[Photo], read: Sequence[Path]) -> None:
    """Log a warning if trainers would take photos for photos without objects, because their labels lie elsewhere."""
    for photo in photos:
        if photo.path is None:
            continue
        folder, sought = (output / (file_name(photo) or "")).parent, _labels_sought(photo.path.parent)
        if folder.resolve() != sought:
            todo = "write labels beside their photos, or those of X/images to X/labels"
            if sought in {each.resolve() for each in {file.parent for file in read}}:
                todo = "there lie those that this run reads: rename the folders when you like the results"
            warn(
                "trainers of YOLO networks look for the labels of photos such as %s in %s, not in %s; %s",
                *(photo.path, sought, folder, todo),
            )
            return


def _tell_of_shared_labels(photos: Sequence[Photo]) -> None:
    """Log a warning if trainers would look for the labels of two photos in one file: theirs have longer names."""
    first: dict[str, Path] = {}
    for path in (photo.path for photo in photos if photo.path is not None):
        other = first.setdefault(str(path.with_suffix("")).casefold(), path)
        if other != path:
            warn(
                "trainers of YOLO networks look for the labels of %s and of %s in one file, %s.txt, and would find "
                "none; rename one of the photos",
                *(other, path, path.stem),
            )
            return


def _labels_sought(folder: Path) -> Path:
    """Where trainers look for the labels of a folder's photos: there, but for the last images/ in its path labels/."""
    parts = list(folder.resolve().parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _add_to_data(
    path: Path, folders: Sequence[str], names: Sequence[str], written: Sequence[Path], *, overwrite: bool
) -> None:
    text = _read(path)
    known, before = names_of_data(text), folders_of_data(text)
    if known is None:
        warn(
            "%s stays as it is, and how it names classes is not understood: see that it calls class 0 %r, as this run "
            "does, and likewise the others",
            *(path, names[0]),
        )
    elif differing := _differing_names(known, names):
        kept = "somebody wrote it" if before is None else _kept_labels(path.parent, written)
        if kept or not overwrite:
            way = "" if kept else ", or pass --overwrite to replace it"
            why = f" ({kept})" if kept else ""
            raise OutputError(f"{path} {differing}, and stays{why}; name another folder{way}")
        write_file(path, [yolo_data(folders, names).encode("utf-8")])
        return
    if before is None:
        _tell_of_missing(path, text, folders)
    elif known and not set(folders) <= set(before):
        listed = list(dict.fromkeys([*before, *folders]))
        write_file(path, [yolo_data(listed, [known[index] for index in sorted(known)]).encode("utf-8")])


def _differing_names(known: Mapping[int, str], names: Sequence[str]) -> str:
    """Which class has another name in a data.yaml than in this run; nothing if none has, or it names none."""
    for index, name in enumerate(names if known else ()):
        if known.get(index) != name:
            return f"calls class {index} {known.get(index, '')!r}, this run {name!r}"
    return ""


def _kept_labels(folder: Path, written: Sequence[Path]) -> str:
    """Why the names of a folder's labels must stay: some that this run does not write anew have them."""
    anew = {*map(file_key, written)}
    for path in sorted(folder.rglob("*.txt")):
        if file_key(path) not in anew and _is_labels(path):
            return f"the classes of {path} are its own"
    return ""


def _is_labels(path: Path) -> bool:
    """True if a text file begins with a label."""
    try:
        with path.open("rb") as file:
            return _LABEL.match(file.read(256)) is not None
    except OSError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path}: {why_unread(path, error)}") from error


def _tell_of_missing(path: Path, text: str, folders: Sequence[str]) -> None:
    """Log a warning of folders that a data.yaml does not name: training would not see their photos."""
    entries = {entry.strip() for entry in re.split(r"""[\n"',\[\]]|:\s|^\s*-\s|\s#""", text, flags=re.MULTILINE)}
    missing = [folder for folder in folders if not entries & {folder, Path(path.parent, folder).resolve().as_posix()}]
    if missing:
        warn("%s stays as it is, and does not list %s: add that to it", path, ", ".join(missing))
