"""Results out: one module per format, one table of them all."""

from fastsam_onnx.formats.registry import (
    FORMATS,
    Format,
    encode,
    save,
    to_coco,
    to_cutouts,
    to_dict,
    to_geojson,
    to_json,
    to_labelme,
    to_sam,
    to_supervision,
    to_svg,
)

__all__ = [
    "FORMATS",
    "Format",
    "encode",
    "save",
    "to_coco",
    "to_cutouts",
    "to_dict",
    "to_geojson",
    "to_json",
    "to_labelme",
    "to_sam",
    "to_supervision",
    "to_svg",
]
