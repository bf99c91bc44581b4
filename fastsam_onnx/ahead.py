"""Imports in a thread: ONNX Runtime leaves the interpreter free while it opens a network."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module

from fastsam_onnx.blas import short_waits

FIRST_CALL = (
    "cv2",
    "fastsam_onnx.images.header",
    "fastsam_onnx.images.load",
    "fastsam_onnx.images.geotiff",
    "fastsam_onnx.masks.adding",
    "fastsam_onnx.masks.redraw",
    "fastsam_onnx.masks.refine",
    "fastsam_onnx.results.finding",
)
"""What the first photo of a process imports, in 20 to 30 ms."""


@contextmanager
def importing(names: Sequence[str] = FIRST_CALL) -> Generator[None, None, None]:
    """Import modules in a thread, which has ended when the block has.

    What fails is left to the code that needs the module, where it says so.
    """
    missing = [name for name in names if name not in sys.modules]
    if not missing:
        yield
        return
    from threading import Thread

    thread = Thread(target=_import, args=(missing,), name="fastsam-onnx-imports", daemon=True)
    with short_waits():
        thread.start()
        try:
            yield
        finally:
            thread.join()


def _import(names: Sequence[str]) -> None:
    for name in names:
        with suppress(Exception):
            import_module(name)
