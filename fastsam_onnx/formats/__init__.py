"""Results out: one module per format, one table of them all."""

from fastsam_onnx.formats.black_and_white import to_mask, to_masks
from fastsam_onnx.formats.coco import image_id_of, to_coco
from fastsam_onnx.formats.coco_dataset import CocoDataset, dataset_entry
from fastsam_onnx.formats.colours import to_colours
from fastsam_onnx.formats.cutouts import to_cutout, to_cutouts
from fastsam_onnx.formats.edges import to_edges
from fastsam_onnx.formats.geojson import to_geojson
from fastsam_onnx.formats.labelme import to_labelme
from fastsam_onnx.formats.native import from_dict, read_json, to_dict, to_json
from fastsam_onnx.formats.psd import to_psd
from fastsam_onnx.formats.registry import FORMATS, Format, encode, format_of_suffix, save, suffixes_beside_photos
from fastsam_onnx.formats.sam import to_sam
from fastsam_onnx.formats.supervision import to_supervision
from fastsam_onnx.formats.svg import to_svg
from fastsam_onnx.formats.table import to_csv
from fastsam_onnx.formats.voc import to_voc, voc_palette
from fastsam_onnx.formats.yolo import to_yolo, yolo_data

__all__ = [
    "FORMATS",
    "CocoDataset",
    "Format",
    "dataset_entry",
    "encode",
    "format_of_suffix",
    "from_dict",
    "image_id_of",
    "read_json",
    "save",
    "suffixes_beside_photos",
    "to_coco",
    "to_colours",
    "to_csv",
    "to_cutout",
    "to_cutouts",
    "to_dict",
    "to_edges",
    "to_geojson",
    "to_json",
    "to_labelme",
    "to_mask",
    "to_masks",
    "to_psd",
    "to_sam",
    "to_supervision",
    "to_svg",
    "to_voc",
    "to_yolo",
    "voc_palette",
    "yolo_data",
]
