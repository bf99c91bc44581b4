"""The models that come with the package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from fastsam_onnx.errors import ModelNotFoundError


@dataclass(frozen=True)
class BundledModel:
    """A model in the package.

    Attributes:
        name: Name that `FastSAM` takes; the file is called so, too.
        purpose: What it is for, in a few words.
    """

    name: str
    purpose: str


DEFAULT = "fastsam-nano"
BUNDLED = (
    BundledModel("fastsam-nano", "segments everything; the default, included (AR@100 33 on COCO, box prompts 0.74)"),
    BundledModel("fastsam-small", "finer, in twice the time; included (AR@100 37, box prompts 0.75)"),
)


def bundled_names() -> list[str]:
    """The names of the models that come with the package, the default first."""
    return [model.name for model in BUNDLED]


def find_bundled(name: str) -> BundledModel | None:
    """The bundled model of a name, in whatever case; None if there is none."""
    return next((model for model in BUNDLED if model.name == name.casefold()), None)


def bundled_model(name: str = DEFAULT) -> Path:
    """The file of a bundled model: in the wheel, or in `weights/` of a checkout.

    Raises:
        ModelNotFoundError: If the installation lacks it.
    """
    package = Path(__file__).parent.parent
    for folder in (package / "bundled", package.parent / "weights"):
        if (path := folder / f"{name}.onnx").is_file():
            return path
    if not package.is_dir():
        advice = "it lies in a zip, where models cannot be opened: install the package, or give the path of a model"
    elif getattr(sys, "frozen", False):
        advice = "have the package's data collected, too (PyInstaller: --collect-data fastsam_onnx)"
    else:
        advice = "install the package again"
    raise ModelNotFoundError(f"the bundled model {name} is not in {package}: {advice}")
