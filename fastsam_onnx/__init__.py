"""Segment everything in a photo, and pick objects by point, box or text, on any CPU, without PyTorch.

```python
from fastsam_onnx import FastSAM

model = FastSAM()
found = model("photo.jpg")
found.save("overlay.png")
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastsam_onnx.errors import (
    CheckpointError,
    DownloadError,
    FastSAMError,
    ImageError,
    MissingPackageError,
    ModelError,
    ModelNotFoundError,
    ObjectIndexError,
    OptionError,
    OutputError,
    PromptError,
)
from fastsam_onnx.masks.instances import Instance, Masks
from fastsam_onnx.masks.mask import Mask, Polygon
from fastsam_onnx.model import FastSAM
from fastsam_onnx.results.crops import CropStyle
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.results.segmentation import Segmentation

if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
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
    "ObjectIndexError",
    "OptionError",
    "OutputError",
    "Polygon",
    "PromptError",
    "Prompts",
    "Segmentation",
    "__version__",
]

_LATER = {"Clip": "fastsam_onnx.clip.clip", "Failure": "fastsam_onnx.stream"}


def __getattr__(name: str) -> Any:
    """Import what few programs need when it is asked for (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return __all__
