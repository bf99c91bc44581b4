"""Segment everything in a photo, and pick objects by point, box or text, on any CPU, without PyTorch.

```python
from fastsam_onnx import FastSAM

model = FastSAM()
found = model("photo.jpg")
found.save("overlay.png")
```
"""

from fastsam_onnx.clip import Clip
from fastsam_onnx.crops import CropStyle
from fastsam_onnx.errors import (
    CheckpointError,
    DownloadError,
    FastSAMError,
    ImageError,
    MissingPackageError,
    ModelError,
    ModelNotFoundError,
    OptionError,
    OutputError,
    PromptError,
)
from fastsam_onnx.mask import Mask, Polygon
from fastsam_onnx.model import FastSAM
from fastsam_onnx.segmentation import Instance, Masks, Segmentation, concatenate
from fastsam_onnx.stream import Failure

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "Clip",
    "CropStyle",
    "DownloadError",
    "Failure",
    "FastSAM",
    "FastSAMError",
    "ImageError",
    "Instance",
    "Mask",
    "Masks",
    "MissingPackageError",
    "ModelError",
    "ModelNotFoundError",
    "OptionError",
    "OutputError",
    "Polygon",
    "PromptError",
    "Segmentation",
    "__version__",
    "concatenate",
]
