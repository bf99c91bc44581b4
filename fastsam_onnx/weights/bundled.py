"""The model that comes with the package."""

from __future__ import annotations

from pathlib import Path

from fastsam_onnx.errors import ModelNotFoundError

BUNDLED_MODEL = "fastsam-nano.onnx"


def bundled_model() -> Path:
    """The file of the bundled model: in the wheel, or in `weights/` of a checkout.

    Raises:
        ModelNotFoundError: If the installation lacks it.
    """
    package = Path(__file__).parent.parent
    for path in (package / "bundled" / BUNDLED_MODEL, package.parent / "weights" / BUNDLED_MODEL):
        if path.is_file():
            return path
    raise ModelNotFoundError(f"the bundled model {BUNDLED_MODEL} is not in {package}: install the package again")
