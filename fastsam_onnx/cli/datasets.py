"""Files of a whole run beside those of each photo: a COCO data set, and the data.yaml of YOLO's label files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastsam_onnx.cli.common import make_folder
from fastsam_onnx.cli.photos import Photo, is_folder_name
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.coco_dataset import COCO_DATASET, FILE_NAME, CocoDataset

DESCRIPTION = "one COCO data set of all photos, in the folder --output"


@contextmanager
def open_dataset(formats: Sequence[str] | None, output: str | None) -> Iterator[CocoDataset | None]:
    """Give the data set of a run, if one is wanted; it is written when the run ends, however it ends.

    Args:
        formats: Names of formats.
        output: Folder of the results.

    Raises:
        OptionError: If the output is not a folder.
        OutputError: If the data set cannot be added to, or cannot be written.
    """
    if COCO_DATASET not in (formats or ()):
        yield None
        return
    if output is None or output == "-" or not is_folder_name(output):
        given = "none" if output is None else output
        raise OptionError(f"--format {COCO_DATASET} needs --output FOLDER, the folder of the data set, got {given}")
    make_folder(Path(output))
    with CocoDataset(Path(output, FILE_NAME)) as dataset:
        yield dataset


def check_named(photos: Sequence[Photo]) -> None:
    """Raise OptionError if there is a photo without a name, from standard input."""
    if any(photo.path is None for photo in photos):
        raise OptionError(f"--format {COCO_DATASET} needs photos with names, got standard input")
