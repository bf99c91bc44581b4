"""Ways out: a result as objects, as text and as files.

Every format is a pure function (`to_coco`, `to_svg`, ...); `FORMATS` lists those that can be written, `encode` gives
the bytes and `save` writes them. The bytes depend on the result alone: no time stamps, rows in the order of the result,
scores with 5 decimals, coordinates with 2, lines ended by a line feed.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.draw import cutout, label_map, overlay, palette, photo_of
from fastsam_onnx.errors import MissingPackageError, OptionError, OutputError
from fastsam_onnx.files import output_error, write_file
from fastsam_onnx.masks.mask import Mask, Polygon

if TYPE_CHECKING:
    import supervision

    from fastsam_onnx.masks.instances import Instances

Json = dict[str, Any]
Affine = Sequence[float]

_SCORE_DECIMALS = 5
_PIXEL_DECIMALS = 2
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_CUTOUT_NAME = re.compile(r"object-\d{4,}\.png")


def to_dict(found: Instances, *, masks: Literal["rle", "polygons"] = "rle", tolerance: float = 0.0) -> Json:
    """Everything the result holds, as plain Python.

    Args:
        found: The objects.
        masks: "rle" for COCO's compressed run lengths (exact and small; `Mask.from_rle` and pycocotools read them) or
            "polygons".
        tolerance: For polygons: how far, in pixels, an outline may stray to save points; 0 is exact.

    Returns:
        {"format": "fastsam-onnx", "version": 1, "source": file name or None, "width", "height": pixels, "objects":
        [...]}. An object has "index", "score" (0 to 1), "box" [x1, y1, x2, y2] (the detector's, image pixels, right and
        bottom exclusive), "area" (pixels), "prompt_index" (the prompt it answers, or None), if it answers a text
        "similarity" (a cosine, -1 to 1), and either "rle" {"size": [H, W], "counts"} or "polygons" [{"exterior":
        [[x, y], ...], "holes": [[[x, y], ...], ...]}, ...] along the edges of the pixels, pixel (0, 0) covering [0, 1)
        x [0, 1).

    Raises:
        OptionError: `masks` is neither.
    """
    if masks not in ("rle", "polygons"):
        raise OptionError(f'masks is "rle" or "polygons"; found {masks!r}')
    objects = []
    for index, instance in enumerate(found):
        record: Json = {
            "index": index,
            "score": _score(instance.score),
            "box": _numbers(instance.box),
            "area": instance.mask.area,
            "prompt_index": _optional_int(instance.prompt_index),
        }
        if instance.similarity is not None:
            record["similarity"] = round(instance.similarity, _SCORE_DECIMALS)
        if masks == "rle":
            record["rle"] = instance.mask.rle()
        else:
            record["polygons"] = [
                {"exterior": _numbers(polygon.exterior), "holes": [_numbers(hole) for hole in polygon.holes]}
                for polygon in instance.mask.polygons(tolerance)
            ]
        objects.append(record)
    width, height = found.image_size
    return {
        "format": "fastsam-onnx",
        "version": 1,
        "source": found.source,
        "width": width,
        "height": height,
        "objects": objects,
    }


def to_json(found: Instances, *, masks: Literal["rle", "polygons"] = "rle", tolerance: float = 0.0) -> str:
    """`to_dict` as JSON text, one object a line."""
    return _json_text(to_dict(found, masks=masks, tolerance=tolerance))


def to_coco(found: Instances, *, image_id: int | str = 0, category_id: int = 1) -> list[Json]:
    """COCO's results format, as pycocotools' `loadRes` reads it.

    Args:
        found: The objects.
        image_id: The photo's id in the data set.
        category_id: The class of all objects: the network knows none.

    Returns:
        A list of {"image_id", "category_id", "segmentation" (compressed RLE), "bbox" [x, y, width, height] (the
        detector's box), "score", "area"}.
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "segmentation": instance.mask.rle(),
            "bbox": _xywh(instance.box),
            "score": _score(instance.score),
            "area": instance.mask.area,
        }
        for instance in found
    ]


def to_labelme(
    found: Instances, *, label: str = "object", image_path: str | None = None, tolerance: float = 1.0
) -> Json:
    """Labelme's annotation file.

    An object is one polygon per island, joined by `group_id` when there are several. Labelme's polygons have no holes:
    an object with holes is one shape of type "mask", exact to the pixel (labelme 5.3 or newer).

    Args:
        found: The objects.
        label: The label of all objects.
        image_path: Where labelme finds the photo, relative to the file; by default the photo's file name.
        tolerance: How far, in pixels, a polygon may stray to save points; 0 is exact, and hard to edit.
    """
    shapes = []
    for index, instance in enumerate(found):
        polygons = instance.mask.polygons(tolerance)
        if any(polygon.holes for polygon in polygons):
            shapes.append(_labelme_mask(instance.mask, label))
            continue
        group = index if len(polygons) > 1 else None
        for polygon in polygons:
            points = _numbers(polygon.exterior)
            shapes.append(_labelme_shape(label, points, group_id=group, shape_type="polygon"))
    width, height = found.image_size
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": (found.source or "") if image_path is None else image_path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def to_svg(found: Instances, *, tolerance: float = 0.0, link: str | None = None, seed: int = 0) -> str:
    """An SVG drawing in image pixels, one even-odd path per object, the smallest on top.

    Args:
        found: The objects.
        tolerance: How far, in pixels, an outline may stray to save points; 0 is exact.
        link: The file name of a photo to show below, relative to the drawing.
        seed: Another number gives other colours.
    """
    width, height = found.image_size
    paths = []
    for index, (instance, colour) in enumerate(zip(found, palette(len(found), seed), strict=True)):
        red, green, blue = (int(channel) for channel in colour)
        outline = "".join(_svg_rings(polygon) for polygon in instance.mask.polygons(tolerance))
        path = (
            f'<path id="object-{index}" fill="#{red:02x}{green:02x}{blue:02x}" d="{outline}">'
            f"<title>object {index}, score {_score(instance.score)}</title></path>"
        )
        paths.append((-instance.mask.area, index, path))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    ]
    if link is not None:
        lines.append(f'<image href="{quote(os.fsencode(link))}" width="{width}" height="{height}"/>')
    lines.append(
        '<g fill-rule="evenodd" fill-opacity="0.5" stroke="#000" stroke-opacity="0.6" stroke-linejoin="round" '
        f'stroke-width="{max(1, round(max(width, height) / 1000))}">'
    )
    lines += [path for _, _, path in sorted(paths)]
    return "\n".join([*lines, "</g>", "</svg>", ""])


def to_geojson(found: Instances, *, affine: Affine | None = None, tolerance: float = 0.0) -> Json:
    """A GeoJSON FeatureCollection of Polygons and MultiPolygons.

    Rings are closed and wound as RFC 7946 asks: outlines counter-clockwise in the coordinates' own axes, holes the
    other way.

    Args:
        found: The objects.
        affine: (a, b, c, d, e, f) from image pixels to coordinates: X = a*x + b*y + c, Y = d*x + e*y + f. rasterio's
            `transform[:6]`; GDAL's order is another (c, a, b, f, d, e). By default image pixels, y down. Coordinates
            keep a hundredth of a pixel.
        tolerance: How far, in pixels, an outline may stray to save points; 0 is exact.

    Raises:
        OptionError: The affine is not six finite numbers, or it flattens the plane.
    """
    placing = _Placing.of(affine)
    features = []
    for index, instance in enumerate(found):
        parts = [placing.rings(polygon) for polygon in instance.mask.polygons(tolerance)]
        geometry: Json | None = None
        if parts:
            many = len(parts) > 1
            geometry = {"type": "MultiPolygon" if many else "Polygon", "coordinates": parts if many else parts[0]}
        properties = {
            "score": _score(instance.score),
            "area": instance.mask.area,
            "prompt_index": _optional_int(instance.prompt_index),
        }
        features.append({"type": "Feature", "id": index, "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def to_sam(
    found: Instances, *, output_mode: Literal["binary_mask", "uncompressed_rle", "coco_rle"] = "binary_mask"
) -> list[Json]:
    """The record list of Segment Anything's automatic mask generator.

    Args:
        found: The objects.
        output_mode: What "segmentation" is, by SAM's names: a dense (H, W) bool array, or COCO's run lengths as a list
            or compressed.

    Returns:
        A list of {"segmentation", "area", "bbox" [x, y, width, height] of the pixels, "predicted_iou",
        "point_coords", "stability_score", "crop_box"}. The network gives one score: it stands for both of SAM's.
        "point_coords" is the pixel that lies deepest in the object, [[x, y]]. "crop_box" is the whole photo.

    Raises:
        OptionError: `output_mode` is none of the three.
    """
    if output_mode not in ("binary_mask", "uncompressed_rle", "coco_rle"):
        raise OptionError(f'output_mode is "binary_mask", "uncompressed_rle" or "coco_rle"; found {output_mode!r}')
    width, height = found.image_size
    records = []
    for instance in found:
        mask, score = instance.mask, _score(instance.score)
        segmentation: Any
        if output_mode == "binary_mask":
            segmentation = mask.dense()
        elif output_mode == "coco_rle":
            segmentation = mask.rle()
        else:
            segmentation = {"size": [height, width], "counts": mask.run_lengths().tolist()}
        records.append(
            {
                "segmentation": segmentation,
                "area": mask.area,
                "bbox": _xywh(mask.box),
                "predicted_iou": score,
                "point_coords": _deepest_pixel(mask),
                "stability_score": score,
                "crop_box": [0, 0, width, height],
            }
        )
    return records


def _sam_file(found: Instances, *, output_mode: Literal["uncompressed_rle", "coco_rle"] = "coco_rle") -> list[Json]:
    """`to_sam` for a file, which holds no dense masks."""
    if output_mode not in ("uncompressed_rle", "coco_rle"):
        raise OptionError(f'in a file output_mode is "uncompressed_rle" or "coco_rle"; found {output_mode!r}')
    return to_sam(found, output_mode=output_mode)


def to_supervision(found: Instances) -> supervision.Detections:
    """A `supervision.Detections` with boxes, dense masks, scores and class 0.

    Raises:
        MissingPackageError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise MissingPackageError(
            f"to_supervision() needs the package supervision ({error}); install it with: pip install supervision"
        ) from error
    data: dict[str, Any] = {} if found.prompt_index is None else {"prompt_index": np.asarray(found.prompt_index)}
    return supervision.Detections(
        xyxy=np.array(found.boxes, np.float32).reshape(-1, 4),
        mask=found.masks.dense(),
        confidence=np.array(found.scores, np.float32),
        class_id=np.zeros(len(found), int),
        data=data,
    )


def to_cutouts(found: Instances, *, image: npt.ArrayLike | None = None) -> Iterator[tuple[str, ByteArray]]:
    """File name and (h, w, 4) uint8 RGBA of every object, see `draw.cutout`; masks without pixels are left out.

    Args:
        found: The objects.
        image: (H, W, 3) uint8 RGB, the photo; by default the one that `found` carries.

    Raises:
        OptionError: No photo is known, or it does not fit.
    """
    photo = photo_of(found, image)
    for index, instance in enumerate(found):
        cut = cutout(instance, photo)
        if cut.size:
            yield f"object-{index:04d}.png", cut


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffixes: How the names of such files end; the first is the one to put behind a photo's name.
        what: One line for people.
        make: From a result to the content; its keyword arguments are the format's options.
        encode: From the content and the file's suffix to bytes.
        folder: Whether it is a folder of files: `make` gives names and contents.
    """

    suffixes: tuple[str, ...]
    what: str
    make: Callable[..., Any]
    encode: Callable[[Any, str], bytes]
    folder: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The keyword arguments that `save` takes for this format."""
        parameters = inspect.signature(self.make).parameters.values()
        return tuple(one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)


def encode(found: Instances, format: str, *, suffix: str | None = None, **options: Any) -> bytes:  # noqa: A002
    """The bytes of a file, for a stream or a response.

    Args:
        found: The objects.
        format: A name in `FORMATS`, but for "cutouts", which is a folder.
        suffix: What picture an overlay is: ".png" (the default), ".jpg", ".webp".
        options: The format's own, see `FORMATS[format].options`.

    Raises:
        OptionError: The format or an option is unknown.
        OutputError: The picture cannot be encoded (WebP ends at 16383 pixels a side, for instance).
    """
    kind = _format_named(format)
    if kind.folder:
        raise OptionError(f"{format!r} is a folder of files, not one; use save")
    content = _made(found, format, options)
    return kind.encode(content, suffix or Path(kind.suffixes[0]).suffix)


def save(
    found: Instances,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    **options: Any,
) -> None:
    """Write a result to a file, or to a folder of cut-outs.

    The file appears when it is complete, or not at all. An existing file is replaced; so is a folder that holds nothing
    but cut-outs.

    Args:
        found: The objects.
        path: The file. Its suffix says what is written: .png, .jpg, .jpeg, .webp an overlay, .json, .svg, .geojson,
            .coco.json, .labelme.json, .sam.json, .labels.png, and .cutouts a folder.
        format: A name in `FORMATS`, where the suffix does not say it.
        options: The format's own, see `FORMATS[format].options`: tolerance, affine, alpha, image and others.

    Raises:
        OptionError: The suffix, the format or an option is unknown.
        OutputError: It cannot be written; nothing half written is left.
    """
    target = Path(path)
    name = _format_of_suffix(target) if format is None else format
    kind = _format_named(name)
    if kind.folder:
        _write_folder(target, ((file, kind.encode(cut, ".png")) for file, cut in _made(found, name, options)))
    else:
        suffix = target.suffix.lower()
        write_file(target, [kind.encode(_made(found, name, options), suffix)])


def _made(found: Instances, name: str, options: dict[str, Any]) -> Any:
    kind = FORMATS[name]
    unknown = sorted(set(options) - set(kind.options))
    if unknown:
        accepted = ", ".join(kind.options) or "none"
        raise OptionError(f"format {name!r} has no option {', '.join(unknown)}; it accepts: {accepted}")
    return kind.make(found, **options)


def _format_named(name: str) -> Format:
    if name not in FORMATS:
        raise OptionError(f"no format is called {name!r}; there are: {', '.join(FORMATS)}")
    return FORMATS[name]


def _format_of_suffix(path: Path) -> str:
    """The format whose suffix the name ends with, the longest first: .coco.json before .json."""
    fits = [
        (len(suffix), name)
        for name, kind in FORMATS.items()
        for suffix in kind.suffixes
        if path.name.lower().endswith(suffix)
    ]
    if not fits:
        accepted = ", ".join(suffix for kind in FORMATS.values() for suffix in kind.suffixes)
        raise OptionError(
            f"the suffix of {path.name!r} names no format; accepted are {accepted}, "
            f"or format= one of {', '.join(FORMATS)}"
        )
    return max(fits)[1]


def _score(value: float) -> float:
    return round(float(value), _SCORE_DECIMALS)


def _optional_int(value: int | None) -> int | None:
    return None if value is None else int(value)


def _numbers(values: npt.ArrayLike, decimals: int = _PIXEL_DECIMALS) -> list[Any]:
    """Nested lists of rounded numbers; of integers when all are whole, as the corners of pixels are."""
    rounded = np.round(np.asarray(values, np.float64), decimals)
    whole = rounded.astype(np.int64)
    if np.array_equal(whole, rounded):
        return list(whole.tolist())
    return list((rounded + 0.0).tolist())  # adding 0.0 makes -0.0 a plain 0.0


def _xywh(box: FloatArray) -> list[Any]:
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    return _numbers([x1, y1, x2 - x1, y2 - y1])


def _deepest_pixel(mask: Mask) -> list[list[float]]:
    """[[x, y]]: the centre of the pixel with most steps to the background; empty for a mask without pixels."""
    import cv2

    if not mask.area:
        return []
    framed = np.pad(mask.crop.view(np.uint8), 1)
    # Whole steps and the first maximum: the same pixel with every build of OpenCV.
    depth = cv2.distanceTransform(framed, cv2.DIST_L1, 3)
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return [[mask.left + float(column) - 0.5, mask.top + float(row) - 0.5]]


def _labelme_shape(label: str, points: list[Any], *, group_id: int | None, shape_type: str) -> Json:
    return {
        "label": label,
        "points": points,
        "group_id": group_id,
        "description": "",
        "shape_type": shape_type,
        "flags": {},
        "mask": None,
    }


def _labelme_mask(mask: Mask, label: str) -> Json:
    """Labelme's mask shape: the first and the last pixel of the crop, and the crop as a base64 PNG of 0 and 1."""
    import base64

    tight = mask.tight()
    height, width = tight.crop.shape
    corners = [[tight.left, tight.top], [tight.left + width - 1, tight.top + height - 1]]
    shape = _labelme_shape(label, corners, group_id=None, shape_type="mask")
    shape["mask"] = base64.b64encode(_picture_bytes(tight.crop.view(np.uint8), ".png")).decode("ascii")
    return shape


def _svg_rings(polygon: Polygon) -> str:
    return "".join(_svg_ring(ring) for ring in (polygon.exterior, *polygon.holes))


def _svg_ring(ring: FloatArray) -> str:
    """A closed path in relative steps; across and down where it can be, which is short for outlines of pixels."""
    corners = np.round(np.asarray(ring, np.float64), _PIXEL_DECIMALS)
    (x, y), steps = _numbers(corners[0]), _numbers(np.diff(corners, axis=0))
    parts = [f"M{x} {y}"]
    for across, down in steps:
        if not down:
            parts.append(f"h{across}")
        elif not across:
            parts.append(f"v{down}")
        else:
            parts.append(f"l{across} {down}")
    return "".join([*parts, "z"])


@dataclass(frozen=True)
class _Placing:
    """From image pixels to coordinates on a map.

    Attributes:
        matrix: (2, 3) float64: a, b, c and d, e, f.
        decimals: How many keep a hundredth of a pixel.
        mirrored: Whether the map's axes turn the other way.
    """

    matrix: npt.NDArray[np.float64]
    decimals: int
    mirrored: bool

    @classmethod
    def of(cls, affine: Affine | None) -> _Placing:
        """Checked."""
        values = np.asarray((1, 0, 0, 0, 1, 0) if affine is None else affine, np.float64)
        if values.shape != (6,) or not np.isfinite(values).all():
            raise OptionError(f"affine is six finite numbers a, b, c, d, e, f; found {values.tolist()}")
        matrix = values.reshape(2, 3)
        determinant = float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])
        if determinant == 0:
            raise OptionError(f"affine {values.tolist()} maps the photo onto a line: a*e - b*d is 0")
        pixel = min(math.hypot(*matrix[:, 0]), math.hypot(*matrix[:, 1]))
        return cls(matrix, _PIXEL_DECIMALS - math.floor(math.log10(pixel)), determinant < 0)

    def rings(self, polygon: Polygon) -> list[Any]:
        """A GeoJSON polygon: the outline, then the holes."""
        return [self._ring(ring) for ring in (polygon.exterior, *polygon.holes)]

    def _ring(self, ring: FloatArray) -> list[Any]:
        # Clockwise with y down is counter-clockwise in the numbers, which is what RFC 7946 asks.
        ordered = ring[::-1] if self.mirrored else ring
        closed = np.concatenate([ordered, ordered[:1]]).astype(np.float64)
        return _numbers(closed @ self.matrix[:, :2].T + self.matrix[:, 2], self.decimals)


def _json_text(document: Any) -> str:
    """JSON with one entry of the outer list, or of an outer dictionary's lists, a line."""
    if isinstance(document, list):
        return _json_list(document) + "\n"
    members = []
    for key, value in document.items():
        text = _json_list(value) if isinstance(value, list) else _json_line(value)
        members.append(f"{_json_line(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def _json_list(values: list[Any]) -> str:
    return "[\n" + ",\n".join(_json_line(value) for value in values) + "\n]" if values else "[]"


def _json_line(value: Any) -> str:
    return json.dumps(value, separators=(", ", ": "), allow_nan=False)


def _json_bytes(document: Any, _suffix: str) -> bytes:
    return _json_text(document).encode("ascii")


def _text_bytes(text: str, _suffix: str) -> bytes:
    return text.encode("utf-8")


def _picture_bytes(picture: npt.NDArray[Any], suffix: str) -> bytes:
    """Grey (uint8 or uint16), RGB or RGBA as a picture file; all but RGB as PNG only, the others would spoil it."""
    import cv2

    accepted = _PICTURE_SUFFIXES if picture.ndim == 3 and picture.shape[2] == 3 else (".png",)
    if suffix not in accepted:
        raise OptionError(f"this picture is written as {', '.join(accepted)}; found the suffix {suffix!r}")
    if picture.ndim == 3:
        order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        picture = cv2.cvtColor(picture, order)
    quality = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 92]}
    settings = quality.get(suffix.replace("jpeg", "jpg"), [])
    height, width = picture.shape[:2]
    try:
        done, data = cv2.imencode(suffix, picture, settings)
    except cv2.error as error:
        raise OutputError(f"a {width}x{height} picture cannot be written as {suffix}: {error}") from error
    if not done:
        raise OutputError(f"a {width}x{height} picture cannot be written as {suffix}")
    return bytes(data)


def _write_folder(path: Path, files: Iterator[tuple[str, bytes]]) -> None:
    """Fill a temporary folder beside the target, then put it in the place of what was there."""
    target = Path(os.path.realpath(path))
    token = secrets.token_hex(8)
    part, old = target.with_name(f".{token}.part"), target.with_name(f".{token}.old")
    try:
        _check_replaceable(path, target)
        try:
            part.mkdir()
            for name, data in files:
                (part / name).write_bytes(data)
            if target.exists():
                target.rename(old)
            try:
                part.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise output_error(path, error) from error


def _check_replaceable(path: Path, target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"cannot write the cut-outs to {path}: it exists and is no folder")
    others = sorted(entry.name for entry in target.iterdir() if not _CUTOUT_NAME.fullmatch(entry.name))
    if others:
        raise OutputError(
            f"cannot write the cut-outs to {path}: the folder holds other files ({others[0]}); name a new or empty one"
        )


FORMATS: dict[str, Format] = {
    "overlay": Format(
        (".overlay.png", *_PICTURE_SUFFIXES), "the photo with every object in a colour", overlay, _picture_bytes
    ),
    "labels": Format((".labels.png",), "16-bit PNG: 0 is background, k + 1 is object k", label_map, _picture_bytes),
    "cutouts": Format(
        (".cutouts",), "a folder with one transparent PNG per object", to_cutouts, _picture_bytes, folder=True
    ),
    "json": Format((".json",), "boxes, scores, areas and masks (run lengths or polygons)", to_dict, _json_bytes),
    "coco": Format((".coco.json",), "COCO results with compressed run lengths", to_coco, _json_bytes),
    "labelme": Format((".labelme.json",), "labelme annotations, to edit by hand", to_labelme, _json_bytes),
    "sam": Format((".sam.json",), "Segment Anything's record list", _sam_file, _json_bytes),
    "svg": Format((".svg",), "vector outlines, one path per object", to_svg, _text_bytes),
    "geojson": Format((".geojson",), "outlines in image pixels or map coordinates", to_geojson, _json_bytes),
}
