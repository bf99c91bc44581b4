"""The table of the formats: a result as a file's bytes, and as a file.

To add a format, write a module with a pure function from a result to the content, and add it to `FORMATS`, its options
to `FormatKeywords`; the command line and its help read the table.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from fastsam_onnx.draw import label_map, overlay
from fastsam_onnx.errors import OptionError
from fastsam_onnx.files import write_file
from fastsam_onnx.formats.black_and_white import MASK, to_mask, to_masks
from fastsam_onnx.formats.coco import to_coco
from fastsam_onnx.formats.colours import colours_png, to_colours
from fastsam_onnx.formats.cutouts import CUTOUT, to_cutout, to_cutouts
from fastsam_onnx.formats.edges import to_edges
from fastsam_onnx.formats.folder import write_folder
from fastsam_onnx.formats.geojson import to_geojson
from fastsam_onnx.formats.labelme import to_labelme
from fastsam_onnx.formats.native import to_dict
from fastsam_onnx.formats.pictures import PICTURE_SUFFIXES, picture_bytes
from fastsam_onnx.formats.psd import psd_bytes, to_psd
from fastsam_onnx.formats.sam import sam_file
from fastsam_onnx.formats.svg import to_svg
from fastsam_onnx.formats.table import to_csv
from fastsam_onnx.formats.text import json_bytes, text_bytes
from fastsam_onnx.formats.voc import palette_png, to_voc
from fastsam_onnx.formats.yolo import to_yolo
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.options import choice, text
from fastsam_onnx.options import path as checked_path

if TYPE_CHECKING:
    import numpy.typing as npt

    from fastsam_onnx.formats.geojson import Affine
    from fastsam_onnx.formats.native import MaskForm
    from fastsam_onnx.formats.sam import FileMode
    from fastsam_onnx.masks.edges import EdgesOf


class FormatKeywords(TypedDict, total=False):
    """The options of all formats as keyword arguments; each format takes its own."""

    image: npt.ArrayLike | None
    alpha: float
    contours: bool
    points: npt.ArrayLike | None
    point_labels: npt.ArrayLike | None
    boxes: npt.ArrayLike | None
    seed: int
    colours: npt.ArrayLike | None
    names: bool
    soft: bool
    whole: bool
    grow: int
    of: EdgesOf
    thin: bool
    masks: MaskForm
    tolerance: float
    image_id: int | str | None
    category_id: int | Sequence[int] | None
    file_name: str | None
    label: str | None
    image_path: str | None
    polygons_only: bool
    output_mode: FileMode
    link: str | None
    affine: Affine | None
    crs: str | int | None


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffixes: Ends of the names of such files; the first is the one to put behind a photo's name.
        what: One line for people.
        make: From a result to the content; its keyword arguments are the format's options.
        encode: From the content and the file's suffix to bytes.
        part: Of a folder of files, of which `make` gives names and contents, what their names are before the number;
            empty for one file.
        media_types: Names of the kinds of file in HTTP, by suffix; a server offers these.
        sought: Suffix behind the photo's name under which other programs look for such a file; empty if there is none.
    """

    suffixes: tuple[str, ...]
    what: str
    make: Callable[..., Any]
    encode: Callable[[Any, str], bytes]
    part: str = ""
    media_types: Mapping[str, str] = field(default_factory=dict)
    sought: str = ""

    @property
    def folder(self) -> bool:
        """True for a folder of files."""
        return bool(self.part)

    @property
    def options(self) -> tuple[str, ...]:
        """The keyword arguments that `save` takes for this format."""
        parameters = inspect.signature(self.make).parameters.values()
        return tuple(one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)


_JSON = {".json": "application/json"}
_PNG = {".png": "image/png"}
_ZIP = {".zip": "application/zip"}
_PICTURES = _PNG | {".jpg": "image/jpeg", ".webp": "image/webp"}

FORMATS: dict[str, Format] = {
    "overlay": Format(
        (".overlay.png", *PICTURE_SUFFIXES),
        "the photo with every object in a colour",
        overlay,
        picture_bytes,
        media_types=_PICTURES,
    ),
    "labels": Format(
        (".labels.png",), "16-bit PNG: 0 is background, k + 1 is object k", label_map, picture_bytes, media_types=_PNG
    ),
    "mask": Format(
        (".mask.png",),
        "the objects white on black, 8-bit PNG, for inpainting",
        to_mask,
        picture_bytes,
        media_types=_PNG,
    ),
    "cutout": Format(
        (".cutout.png", ".cutout.webp"),
        "the objects on nothing, one transparent picture",
        to_cutout,
        picture_bytes,
        media_types=_PNG | {".webp": "image/webp"},
    ),
    "cutouts": Format(
        (".cutouts",),
        "a folder with one transparent PNG per object",
        to_cutouts,
        picture_bytes,
        part=CUTOUT,
        media_types=_ZIP,
    ),
    "masks": Format(
        (".masks",),
        "a folder with one mask per object, white on black",
        to_masks,
        picture_bytes,
        part=MASK,
        media_types=_ZIP,
    ),
    "psd": Format(
        (".layers.psd", ".psd"),
        "the photo and each object in layers, Photoshop's PSD",
        to_psd,
        psd_bytes,
        media_types={".psd": "image/vnd.adobe.photoshop"},
    ),
    "colours": Format(
        (".colours.png",), "the label map in the colours of the overlay", to_colours, colours_png, media_types=_PNG
    ),
    "voc": Format(
        (".voc.png",), "Pascal VOC's object map, 8-bit PNG with its palette", to_voc, palette_png, media_types=_PNG
    ),
    "edges": Format(
        (".edges.png",), "the soft edge map, 8-bit PNG: 255 is a sure edge", to_edges, picture_bytes, media_types=_PNG
    ),
    "json": Format(
        (".json",), "boxes, scores, areas, masks (run lengths or polygons)", to_dict, json_bytes, media_types=_JSON
    ),
    "csv": Format(
        (".csv",), "a table: scores, boxes, areas, centroids", to_csv, text_bytes, media_types={".csv": "text/csv"}
    ),
    "coco": Format((".coco.json",), "COCO results with compressed run lengths", to_coco, json_bytes, media_types=_JSON),
    "labelme": Format(
        (".labelme.json",),
        "labelme annotations, to edit by hand",
        to_labelme,
        json_bytes,
        media_types=_JSON,
        sought=".json",
    ),
    "yolo": Format(
        (".txt",), "YOLO's labels for segmentation", to_yolo, text_bytes, media_types={".txt": "text/x-yolo"}
    ),
    "sam": Format((".sam.json",), "Segment Anything's record list", sam_file, json_bytes, media_types=_JSON),
    "svg": Format(
        (".svg",), "vector outlines, one path per object", to_svg, text_bytes, media_types={".svg": "image/svg+xml"}
    ),
    "geojson": Format(
        (".geojson",),
        "outlines in image pixels or map coordinates",
        to_geojson,
        json_bytes,
        media_types={".geojson": "application/geo+json"},
    ),
}

OUTLINES = tuple(name for name, kind in FORMATS.items() if "tolerance" in kind.options and "masks" not in kind.options)
"""Formats of outlines, which `tolerance` simplifies; in JSON masks are run lengths unless something else is asked."""
CUTOUTS = tuple(name for name, kind in FORMATS.items() if "whole" in kind.options)
SOFT = tuple(name for name, kind in FORMATS.items() if "soft" in kind.options)
OF_THE_PHOTO = tuple(name for name, kind in FORMATS.items() if "image" in kind.options)
"""Formats that show the photo, and cannot be made without it."""
MASKS = tuple(name for name, kind in FORMATS.items() if "grow" in kind.options)
WRITTEN = {
    "tolerance": ("outlines", OUTLINES),
    "soft": ("cut-outs and layers", SOFT),
    "whole": ("cut-outs", CUTOUTS),
    "grow": ("masks in black and white", MASKS),
}
"""The options that the command line and the server have, too: what each is for, and the formats that have it."""


def encode(
    found: Instances,
    format: str,  # noqa: A002
    *,
    suffix: str | None = None,
    **options: Unpack[FormatKeywords],
) -> bytes:
    """The bytes of a file, for a stream or a response.

    Args:
        found: The objects.
        format: A name in `FORMATS`, except "cutouts" and "masks", which are folders.
        suffix: Kind of picture: ".png" (the default), ".webp" for an overlay or a cut-out, ".jpg" for an overlay; what
            is no picture is the same with any other.
        options: The format's own, see `FORMATS[format].options`.

    Raises:
        OptionError: If the format or an option is not known, or an option is outside its range.
        PromptError: If the prompts to draw are malformed.
        OutputError: If the picture cannot be encoded (WebP ends at 16383 pixels a side, for instance).
    """
    kind = _format_named(format)
    if kind.folder:
        raise OptionError(f"{format!r} is a folder of files, not one; use save")
    end = Path(kind.suffixes[0]).suffix if suffix is None else text("suffix", suffix).lower()
    _check_suffix(Path(format + end), format, kind)
    return kind.encode(_made(found, format, options), end)


def save(
    found: Instances,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    **options: Unpack[FormatKeywords],
) -> None:
    """Write a result to a file, or to a folder of cut-outs or masks.

    The file appears when it is complete, or not at all. An existing file is replaced; so is a folder that holds nothing
    but files of the same format.

    Args:
        found: The objects.
        path: The file. Its suffix says what is written: .png, .jpg, .jpeg, .webp an overlay, .json, .csv, .svg,
            .geojson, .coco.json, .labelme.json, .sam.json, .txt (YOLO's), .labels.png, .mask.png, .colours.png,
            .voc.png, .edges.png, .cutout.png, .cutout.webp, .layers.psd, .psd, and .cutouts and .masks folders.
        format: A name in `FORMATS`, where the suffix does not say it.
        options: The format's own (`FORMATS[format].options`), as the function that makes it explains them:

            - "overlay" (`draw.overlay`): image, alpha, contours, points, point_labels, boxes, seed, colours, names.
            - "labels": none.
            - "mask", "masks": grow.
            - "cutout", "cutouts": image, soft, whole.
            - "psd" (`to_psd`): image, soft.
            - "colours": seed.
            - "voc": none.
            - "edges" (`to_edges`): of, thin.
            - "json" (`to_dict`): masks, tolerance.
            - "csv": none.
            - "coco": image_id, category_id, file_name.
            - "labelme": label, image_path, tolerance, polygons_only.
            - "yolo": tolerance.
            - "sam": output_mode.
            - "svg": tolerance, link, seed.
            - "geojson": affine, crs, tolerance.

    Raises:
        OptionError: If the suffix, the format or an option is not known, an option is outside its range, what is no
            picture would end as one, or a picture without `format` has the name of another format's, such as
            cup.cutout.jpg.
        PromptError: If the prompts to draw are malformed.
        OutputError: If it cannot be written; nothing half written is left.
    """
    target = checked_path("path", path)
    name = _format_of_file(target) if format is None else format
    kind = _format_named(name)
    _check_suffix(target, name, kind)
    if kind.folder:
        write_folder(target, files_of(found, name, **options), kind.part)
    else:
        write_file(target, [kind.encode(_made(found, name, options), target.suffix.lower())])


def files_of(
    found: Instances,
    format: str,  # noqa: A002
    **options: Unpack[FormatKeywords],
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file of a folder.

    Args:
        found: The objects.
        format: "cutouts" or "masks".
        options: The format's own, see `FORMATS[format].options`.

    Raises:
        OptionError: If the format is none of them, an option is not known or outside its range.
    """
    folders = [name for name, kind in FORMATS.items() if kind.folder]
    kind = FORMATS[choice("format", format, folders)]
    content = _made(found, format, options)
    return ((name, kind.encode(one, Path(name).suffix)) for name, one in content)


def _check_suffix(target: Path, name: str, kind: Format) -> None:
    """OptionError if what is no picture would end as one."""
    of_pictures = any(suffix.endswith(PICTURE_SUFFIXES) for suffix in kind.suffixes)
    if target.suffix.lower() in PICTURE_SUFFIXES and not of_pictures:
        raise OptionError(
            f"{target.name!r} ends as a picture, and the format {name!r} is none: {kind.what}; "
            f"end it with {kind.suffixes[0]}"
        )


def format_of_suffix(path: str | os.PathLike[str]) -> str | None:
    """The format by the end of a file's name, the longest first (.coco.json before .json); None if none fits.

    Raises:
        OptionError: If it is not the path of a file.
    """
    name = checked_path("path", path).name.lower()
    if any(name in kind.suffixes for kind in FORMATS.values()):  # nothing before it
        return None
    fits = [(len(suffix), form) for form, kind in FORMATS.items() for suffix in kind.suffixes if name.endswith(suffix)]
    return max(fits)[1] if fits else None


def check_mark(path: str | os.PathLike[str], form: str) -> None:
    """Refuse a picture whose name says another format: cup.cutout.jpg would be an overlay.

    Args:
        path: The file.
        form: The format that its last suffix says.

    Raises:
        OptionError: If the suffix before the last one is that of another format's pictures.
    """
    target = checked_path("path", path)
    named = format_of_mark(target)
    if named is None or named == form or target.suffix.lower() not in PICTURE_SUFFIXES:
        return
    raise OptionError(
        f"{target.name!r} is named like the format {named!r}, whose files end with "
        f"{', '.join(FORMATS[named].suffixes)}; end it so, or say the format {form!r} if it is one"
    )


def format_of_mark(path: Path) -> str | None:
    """The format whose pictures have what the name has before its suffix: that of cup.cutout.mp4 is "cutout"."""
    mark = Path(path.stem).suffix.lower()
    own = {name: Path(kind.suffixes[0]) for name, kind in FORMATS.items()}
    return next((name for name, end in own.items() if end.suffix in PICTURE_SUFFIXES and end.stem == mark), None)


def suffixes_beside_photos(names: Iterable[str]) -> dict[str, str]:
    """The suffix that each format's file has behind a photo's name, where the formats are written together.

    It is the one that other programs look for (labelme finds photo.json alone), unless another of the formats has it.

    Raises:
        OptionError: If a format is not known.
    """
    first = {name: _format_named(name).suffixes[0] for name in names}
    return {
        name: FORMATS[name].sought if FORMATS[name].sought and FORMATS[name].sought not in first.values() else suffix
        for name, suffix in first.items()
    }


def _format_of_file(path: Path) -> str:
    form = format_of_suffix(path)
    if form is None:
        accepted = ", ".join(suffix for kind in FORMATS.values() for suffix in kind.suffixes)
        raise OptionError(
            f"the suffix of {path.name!r} names no format; it must be one of {accepted}, "
            f"or give format=, one of {', '.join(FORMATS)}"
        )
    check_mark(path, form)
    return form


def _format_named(name: str) -> Format:
    return FORMATS[choice("format", name, FORMATS)]


def _made(found: Instances, name: str, given: Mapping[str, Any]) -> Any:
    kind = FORMATS[name]
    unknown = sorted(set(given) - set(kind.options))
    if unknown:
        accepted = ", ".join(kind.options) or "none"
        raise OptionError(f"format {name!r} has no option {', '.join(unknown)}; it accepts: {accepted}")
    return kind.make(found, **given)
