"""What several test files need: where the development data lie, and small results made at random."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.options import DetectionOptions
from fastsam_onnx.results import finding
from fastsam_onnx.results.segmentation import Segmentation

# Enough to find what there is, quick enough to run often; machines differ in speed.
settings.register_profile("tests", deadline=None, max_examples=60)
settings.load_profile("tests")

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
EXAMPLES = ROOT / "examples"
SHARED = Path(__file__).parents[2] / "shared"


def pytest_configure() -> None:
    """Let tests be interrupted as programs in a terminal are: what scripts start with & ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def shared() -> Path:
    """The folder of photos, models and documents beside a developer's checkout; the test is skipped without it."""
    if not (SHARED / "docs" / "reference-vectors.json").is_file():  # another folder may have that name
        pytest.skip("needs ../shared, which only a developer's machine has")
    return SHARED


def _module(folder: Path, name: str, kind: str) -> ModuleType:
    path = folder / f"{name}.py"
    if not path.exists():
        pytest.skip(f"{folder.name}/ is not in the source distribution")
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{kind}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], ModuleType]:
    """`load_tool("compare")`: tools/compare.py as a module; the test is skipped where there are no tools."""
    sys.path.insert(0, str(ROOT))  # tools import one another
    return lambda name: _module(TOOLS, name, "tool")


@pytest.fixture(scope="session")
def load_example() -> Callable[[str], ModuleType]:
    """`load_example("serverless/handler")`: a file of examples/ as a module; as `load_tool`."""
    return lambda name: _module(EXAMPLES, name, "example")


@pytest.fixture
def random_found() -> Callable[..., Segmentation]:
    """`random_found(seed, count, image_size)`: a Segmentation of rectangles with holes and specks, best first."""

    def make(seed: int = 0, count: int = 6, image_size: tuple[int, int] = (23, 17)) -> Segmentation:
        rng = np.random.default_rng(seed)
        width, height = image_size
        masks = []
        for _ in range(count):
            (x1, x2), (y1, y2) = (np.sort(rng.choice(side + 1, 2, replace=False)) for side in image_size)
            dense = np.zeros((height, width), bool)
            dense[y1:y2, x1:x2] = rng.random((y2 - y1, x2 - x1)) < 0.8
            dense[y1, x1] = True
            masks.append(Mask.from_dense(dense))
        return Segmentation.from_masks(
            masks, np.sort(rng.random(count).astype(np.float32))[::-1], image_size=image_size
        )

    return make


@pytest.fixture
def options_used(monkeypatch: pytest.MonkeyPatch) -> list[DetectionOptions]:
    """The options with which the objects of each photo were found, in the order of the photos."""
    used: list[DetectionOptions] = []
    find = finding.find_objects

    def watched(*arguments: Any, options: DetectionOptions, **others: Any) -> Segmentation:
        used.append(options)
        return find(*arguments, options=options, **others)

    monkeypatch.setattr(finding, "find_objects", watched)
    return used


@pytest.fixture
def pending_found() -> Callable[..., Segmentation]:
    """`pending_found(seed, count)`: a Segmentation of masks that are still to be made, as the network gives them."""

    def make(seed: int = 0, count: int = 8, image_size: tuple[int, int] = (57, 33)) -> Segmentation:
        rng = np.random.default_rng(seed)
        letterbox = Letterbox.fit(image_size, (64, 64))
        corners = rng.random((count, 2, 2)) * image_size
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
        rows = pending_masks(
            boxes,
            rng.standard_normal((count, 4)).astype(np.float32),
            rng.standard_normal((4, 16, 16)).astype(np.float32),
            letterbox,
        )
        kept = [index for index, row in enumerate(rows) if not row.is_empty()]
        scores = np.sort(rng.random(len(kept)).astype(np.float32))[::-1]
        masks = Masks((rows[index] for index in kept), image_size)
        return Segmentation(boxes=boxes[kept], scores=scores, masks=masks)

    return make
