"""Segment everything in a photo, and pick objects by point, box or text, on any CPU, without PyTorch.

```python
from fastsam_onnx import FastSAM

model = FastSAM()
found = model("photo.jpg")
found.save("overlay.png")
```
"""

from __future__ import annotations

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
    ServerError,
)

TYPE_CHECKING = False  # typing, and what it imports, takes longer to import than all that is here
if TYPE_CHECKING:
    from typing import Any

    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.masks.instance import Instance
    from fastsam_onnx.masks.mask import Mask
    from fastsam_onnx.masks.polygon import Polygon
    from fastsam_onnx.masks.sequence import Masks
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.crops import CropStyle
    from fastsam_onnx.results.prompts import Prompts
    from fastsam_onnx.results.segmentation import Segmentation
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
    "ServerError",
    "__version__",
]

_LATER = {
    "Clip": "fastsam_onnx.clip.clip",
    "CropStyle": "fastsam_onnx.results.crops",
    "Failure": "fastsam_onnx.stream",
    "FastSAM": "fastsam_onnx.model",
    "Instance": "fastsam_onnx.masks.instance",
    "Mask": "fastsam_onnx.masks.mask",
    "Masks": "fastsam_onnx.masks.sequence",
    "Polygon": "fastsam_onnx.masks.polygon",
    "Prompts": "fastsam_onnx.results.prompts",
    "Segmentation": "fastsam_onnx.results.segmentation",
}
_MODULES = ("draw", "formats", "images", "labels", "network", "quantize", "runtime", "serve", "tracking", "weights")
"""Those of the reference: without this, `fastsam_onnx.draw` would be there after a call that happens to need it."""


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562): the command line must catch Ctrl-C before NumPy is there."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastsam_onnx.blas import import_numpy

    import_numpy()
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
