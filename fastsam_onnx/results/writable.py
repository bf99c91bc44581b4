"""The objects of a photo with a verb for every way to look at them and to write them out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np

from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.polygon import Polygon
from fastsam_onnx.masks.preview import jpeg_preview
from fastsam_onnx.options import DEFAULT_PIXEL_LIMIT, number

if TYPE_CHECKING:
    import numpy.typing as npt
    import supervision

    from fastsam_onnx.formats.geojson import Affine
    from fastsam_onnx.formats.native import MaskForm
    from fastsam_onnx.formats.registry import FormatKeywords
    from fastsam_onnx.formats.sam import OutputMode
    from fastsam_onnx.masks.edges import EdgesOf


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WritableInstances(Instances):
    """Instances that show themselves and write themselves in every format; `Segmentation` is made of them."""

    def overlay(
        self,
        *,
        image: npt.ArrayLike | None = None,
        alpha: float = 0.5,
        contours: bool = True,
        points: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        seed: int = 0,
        colours: npt.ArrayLike | None = None,
        names: bool = True,
    ) -> ByteArray:
        """The objects drawn over the photo, (H, W, 3) uint8 RGB; see `draw.overlay`.

        Raises:
            OptionError: If no photo is known, it does not fit, or an option is not accepted.
            PromptError: If points or boxes to draw are malformed.
        """
        from fastsam_onnx import draw

        return draw.overlay(
            self,
            image=image,
            alpha=alpha,
            contours=contours,
            points=points,
            point_labels=point_labels,
            boxes=boxes,
            seed=seed,
            colours=colours,
            names=names,
        )

    def cutout(self, *, image: npt.ArrayLike | None = None, soft: bool = False, whole: bool = False) -> ByteArray:
        """All objects on nothing, (h, w, 4) uint8 RGBA; see `draw.cutout`.

        Raises:
            OptionError: If no photo is known, it does not fit, or an option is not accepted.
        """
        from fastsam_onnx import draw

        return draw.cutout(self, draw.photo_of(self, image), soft=soft, whole=whole)

    def show(self) -> None:
        """Display the overlay: in a notebook's output, elsewhere in the program that opens pictures.

        Raises:
            OutputError: If nothing here shows pictures.
        """
        from fastsam_onnx.results.display import show_jpeg

        show_jpeg(self._preview(), self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """The overlay as a small JPEG beside the text, for notebooks."""
        from base64 import b64encode

        return {"image/jpeg": b64encode(self._preview()).decode("ascii"), "text/plain": repr(self)}

    def _preview(self) -> bytes:
        """The overlay, drawn in the size in which it is shown; on black where the photo is not kept."""
        from fastsam_onnx.results.display import shrunk

        small = shrunk(self)
        width, height = small.image_size
        image = np.zeros((height, width, 3), np.uint8) if small.image is None else small.image
        return jpeg_preview(small.overlay(image=image))

    def edges(self, *, of: EdgesOf = "candidates", thin: bool = True) -> FloatArray:
        """The soft edge map: at every pixel the strength of an edge, as FastSAM's paper makes it of all masks.

        Args:
            of: "candidates": of everything that the network offered, also below the threshold; where there are only
                objects, as in a selection and in results of tiles and of tracking, it is "objects", the edges of these.
            thin: True to keep the ridges of edges alone (non-maximum suppression); False for all of their slopes.

        Returns:
            (H, W) float32, 0 to 1. Where the photo is larger than the network's input, edges are as fine as that.

        Raises:
            OptionError: If an option is not accepted.
        """
        from fastsam_onnx.masks.edges import soft_edges

        return soft_edges(self, of=of, thin=thin)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,  # noqa: A002
        **options: Unpack[FormatKeywords],
    ) -> None:
        """Write the objects to a file, or to a folder of cut-outs or masks.

        The file appears when it is complete, or not at all. An existing file is replaced; so is a folder that holds
        nothing but files of the same format.

        Args:
            path: The file. Its suffix says what is written: .png, .jpg, .jpeg, .webp an overlay; .json, .csv,
                .coco.json, .labelme.json, .sam.json, .txt (YOLO's), .svg, .geojson, .labels.png, .mask.png,
                .colours.png, .voc.png, .edges.png, .cutout.png, .cutout.webp, .layers.psd, .psd; .cutouts and
                .masks folders.
            format: Name of the format, where the suffix does not say it: a name of the options below.
            options: The format's own, as the function of its name in `fastsam_onnx.formats` takes them.

                - "overlay": image, alpha, contours, points, point_labels, boxes, seed, colours, names.
                - "labels": none.
                - "mask", "masks": grow.
                - "cutout", "cutouts": image, soft, whole.
                - "psd": image, soft.
                - "colours": seed.
                - "voc": none.
                - "edges": of, thin.
                - "json": masks, tolerance.
                - "csv": none.
                - "coco": image_id, category_id, file_name.
                - "labelme": label, image_path, tolerance, polygons_only.
                - "yolo": tolerance.
                - "sam": output_mode.
                - "svg": tolerance, link, seed.
                - "geojson": affine, crs, tolerance.

        Raises:
            OptionError: If the suffix, the format or an option is not known, or an option is outside its range.
            PromptError: If the prompts to draw are malformed.
            OutputError: If it cannot be written; nothing half written is left.
        """
        from fastsam_onnx import formats

        formats.save(self, path, format=format, **options)

    def to_dict(self, *, masks: MaskForm = "rle", tolerance: float = 0.0) -> dict[str, Any]:
        """The objects and what is known of them, as plain Python; see `formats.to_dict`."""
        from fastsam_onnx import formats

        return formats.to_dict(self, masks=masks, tolerance=tolerance)

    @classmethod
    def from_json(cls, text: str | bytes, *, pixel_limit: int | None = DEFAULT_PIXEL_LIMIT) -> Self:
        """The objects of a JSON text that `to_json` wrote with run lengths; see `formats.read_json`.

        The photo, what else the network offered and CLIP are not in it: prompts choose among the objects alone, as in
        a selection.

        Args:
            text: The text, or the bytes of a file.
            pixel_limit: Maximum of width x height; None for no limit.

        Raises:
            OptionError: If it is something else, or damaged.
        """
        from fastsam_onnx import formats

        return cls(**vars(formats.read_json(text, pixel_limit=pixel_limit)))

    def to_json(self, *, masks: MaskForm = "rle", tolerance: float = 0.0) -> str:
        """`to_dict` as JSON text; see `formats.to_json`."""
        from fastsam_onnx import formats

        return formats.to_json(self, masks=masks, tolerance=tolerance)

    def to_csv(self) -> str:
        """A table, a line per object: score, box, area, centroid, class and the like; see `formats.to_csv`."""
        from fastsam_onnx import formats

        return formats.to_csv(self)

    def to_coco(
        self,
        *,
        image_id: int | str | None = None,
        category_id: int | Sequence[int] | None = None,
        file_name: str | None = None,
    ) -> list[dict[str, Any]]:
        """COCO results: a list of records with compressed RLE; see `formats.to_coco`."""
        from fastsam_onnx import formats

        return formats.to_coco(self, image_id=image_id, category_id=category_id, file_name=file_name)

    def to_labelme(
        self,
        *,
        label: str | None = None,
        image_path: str | None = None,
        tolerance: float = 1.0,
        polygons_only: bool = False,
    ) -> dict[str, Any]:
        """Labelme's annotation file; see `formats.to_labelme`."""
        from fastsam_onnx import formats

        return formats.to_labelme(
            self, label=label, image_path=image_path, tolerance=tolerance, polygons_only=polygons_only
        )

    def to_svg(self, *, tolerance: float = 0.0, link: str | None = None, seed: int = 0) -> str:
        """An SVG drawing of the outlines; see `formats.to_svg`."""
        from fastsam_onnx import formats

        return formats.to_svg(self, tolerance=tolerance, link=link, seed=seed)

    def to_geojson(
        self, *, affine: Affine | None = None, crs: str | int | None = None, tolerance: float = 0.0
    ) -> dict[str, Any]:
        """A GeoJSON FeatureCollection of the outlines; see `formats.to_geojson`."""
        from fastsam_onnx import formats

        return formats.to_geojson(self, affine=affine, crs=crs, tolerance=tolerance)

    def to_sam(self, *, output_mode: OutputMode = "binary_mask") -> list[dict[str, Any]]:
        """The records that SAM's automatic mask generator gives; see `formats.to_sam`."""
        from fastsam_onnx import formats

        return formats.to_sam(self, output_mode=output_mode)

    def to_supervision(self, *, compact: bool = False) -> supervision.Detections:
        """A `supervision.Detections`, when supervision is installed; see `formats.to_supervision`."""
        from fastsam_onnx import formats

        return formats.to_supervision(self, compact=compact)

    def to_polygons(self, tolerance: float = 0.0) -> list[list[Polygon]]:
        """For each object its islands, each an outline with holes, in image pixels; see `Mask.polygons`.

        Raises:
            OptionError: If the tolerance is not a number of at least 0.
        """
        tolerance = number("tolerance", tolerance, 0)
        return [mask.polygons(tolerance) for mask in self.masks]
