"""Where many photos come from: iterables, folders, videos and cameras."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from fastsam_onnx.errors import ImageError, OptionError
from fastsam_onnx.files import exists, hint_of_missing, is_file, is_folder
from fastsam_onnx.images import video
from fastsam_onnx.images.load import ImageSource, MissingPicture, NamedPicture, is_file_object, source_name
from fastsam_onnx.log import warn
from fastsam_onnx.options import integer

Sources = Iterable[ImageSource] | str | os.PathLike[str] | int | video.Capture

PICTURE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
        *(".pnm", ".avif"),
        # Refused, by name: better than a photo that is passed over in silence.
        *(".jp2", ".jxl", ".heic", ".heif", ".hif"),
    )
)
RAW_SUFFIXES = frozenset(
    (
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srf", ".orf", ".raf", ".rw2", ".rwl"),
        *(".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".mos", ".mef", ".mrw", ".erf", ".kdc", ".dcr", ".gpr"),
    )
)
"""Raw files of cameras: they often lie beside the JPEGs of the same photos, so they are passed over with a warning."""
UNREAD_SUFFIXES = RAW_SUFFIXES | {".psd", ".psb", ".xcf", ".tga", ".exr", ".hdr", ".dcm", ".j2k", ".jpf", ".jpx"}
"""Pictures that are not read; in a folder they are passed over with a warning."""
LAST_CAMERA = 2**31 - 1
RESULT_SUFFIXES = (
    ".overlay.png",
    ".labels.png",
    ".mask.png",
    ".cutout.png",
    ".cutout.webp",
    ".cutouts",
    ".masks",
    ".layers.psd",
    ".colours.png",
    ".voc.png",
    ".edges.png",
)
"""Of what this package writes, the names that look like pictures or hold them; a test compares them with FORMATS."""
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv")
)
"""Files that are taken for videos among photos, if they begin as videos do, too: the first bytes alone say little."""
RESULT_MARKS = (".overlay", ".mask")
"""What the names of the videos that the command line writes have before their suffix."""
MOST_NAMED = 3
"""Maximum number of videos that a warning names."""


def open_sources(sources: Sources, *, are_frames: bool = False) -> tuple[Iterator[ImageSource], deque[int] | None]:
    """The photos, one after another, and the numbers of those that were taken, if they are frames of a video.

    Frames are RGB. A place of several missing frames has the number of the first; who reads the numbers takes them out.

    Args:
        sources: As in `FastSAM.stream`.
        are_frames: True if they are meant to be frames of a video: a GIF is one then.

    Raises:
        ImageError: If there is no such folder, video or camera.
        OptionError: If it is one photo, or something else.
    """
    if isinstance(sources, str | os.PathLike):
        path = Path(sources)
        if not os.fspath(sources):  # a Path makes "." of it
            raise ImageError("cannot read '': the path is empty")
        if is_folder(path):
            return iter(_pictures_or_refusal(path)), None
        if not exists(path):
            raise ImageError(f"cannot read {source_name(sources)}: {_what_is_missing(os.fspath(sources))}")
        if video.is_video(path, or_gif=are_frames):
            return _numbered(video.open_video(path))
        return iter([path]), None
    if isinstance(sources, int | np.integer) and not isinstance(sources, bool):
        return _numbered(video.open_video(integer("the number of a camera", sources, 0, LAST_CAMERA)))
    if isinstance(sources, video.Capture):
        return _numbered(video.open_video(sources))
    if isinstance(sources, np.ndarray) and sources.ndim == 4:
        return iter(sources), None
    if _is_one_photo(sources) or not isinstance(sources, Iterable):
        raise OptionError(
            "sources must be an iterable of photos, a folder, a video, the number of a camera or a cv2.VideoCapture, "
            f"got {source_name(sources)}; put one photo in a list, or call the model on it"
        )
    return iter(sources), None


def _numbered(opened: video.Video) -> tuple[Iterator[ImageSource], deque[int]]:
    numbers: deque[int] = deque()

    def pictures() -> Iterator[ImageSource]:
        for frame in opened.frames():
            numbers.append(frame.number)
            if isinstance(frame.picture, MissingPicture):
                yield frame.picture
            else:
                yield NamedPicture(opened.name_of(frame.number), frame.picture)

    return pictures(), numbers


def _pictures_or_refusal(folder: Path) -> list[Path]:
    """The pictures of a folder; an ImageError if all that it has is folders, which would be passed over in silence."""
    pictures = pictures_of_folder(folder)
    entries = list(folder.iterdir())
    warn_of_passed_over(source_name(folder), entries)
    if not pictures and any(entry.is_dir() for entry in entries):
        raise ImageError(
            f"cannot read {source_name(folder)}: it has folders, but no pictures of its own; give the pictures below "
            f"it, such as sorted(pathlib.Path({str(folder)!r}).rglob('*.jpg'))"
        )
    if not pictures:
        warn("%s: no pictures in this folder", source_name(folder))
    return pictures


def _what_is_missing(source: str) -> str:
    if "://" in source:
        return f"a stream from the network must be opened by OpenCV; give cv2.VideoCapture({source!r})"
    if any(sign in source for sign in "*?["):
        return f"patterns are not expanded; give the files, such as sorted(glob.glob({source!r}))"
    return f"there is no such folder, picture or video{hint_of_missing(source)}"


def pictures_of_folder(folder: Path) -> list[Path]:
    """Pictures that lie in a folder itself, by their suffix and sorted; see `is_picture_name`.

    Raises:
        ImageError: The folder cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if is_picture_name(entry) and not entry.is_dir())
    except OSError as error:
        raise ImageError(f"cannot read the folder {source_name(folder)}: {error.strerror or error}") from error


def warn_of_passed_over(place: str, files: Iterable[Path]) -> None:
    """Log warnings of what somebody may miss among the files of a place, where only pictures are taken.

    Videos are named, pictures that are not read are counted by their suffixes. Hidden ones and what this package wrote
    are left out.
    """
    seen = [path for path in files if not path.name.startswith(".") and not _is_result_name(path)]
    names = sorted(path.name for path in seen if _is_video_name(path) and video.is_video(path))
    if names:
        named = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
        what = "a video is" if len(names) == 1 else f"{len(names)} videos are"
        warn("%s: %s passed over (%s); give a video by its own name, apart from photos", place, what, named)
    suffixes = [path.suffix.lower() for path in seen]
    unread = Counter(
        suffix for path, suffix in zip(seen, suffixes, strict=True) if suffix in UNREAD_SUFFIXES and is_file(path)
    )
    if total := unread.total():
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
        what = "a picture is" if total == 1 else f"{total} pictures are"
        kind = "raw files of cameras are" if unread.keys() <= RAW_SUFFIXES else "such files are"
        warn("%s: %s passed over (%s): %s not read; convert them to JPEG, PNG or TIFF", place, what, counts, kind)


def _is_video_name(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.stem.lower().endswith(RESULT_MARKS)


def is_picture_name(path: Path) -> bool:
    """True if a file counts as a picture of its folder: by its suffix, not hidden, not a result of this package."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and not _is_result_name(path)


def _is_result_name(path: Path) -> bool:
    return path.name.lower().endswith(RESULT_SUFFIXES)


def _is_one_photo(sources: object) -> bool:
    return isinstance(sources, bytes | bytearray | memoryview | np.ndarray) or is_file_object(sources)
