"""From the network's numbers to masks in the photo."""

from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.polygon import Polygon
from fastsam_onnx.masks.rle import RLE
from fastsam_onnx.masks.sequence import Masks

__all__ = [
    "RLE",
    "Instance",
    "Instances",
    "Mask",
    "MaskLike",
    "Masks",
    "Polygon",
]
