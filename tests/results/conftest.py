"""A CLIP for the tests of this room."""

import pytest

from fastsam_onnx import Clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP that knows colours."""
    from support import toy_clip  # here: the function's tests have no package onnx (tools/build_function.py --prove)

    return Clip(toy_clip.write(tmp_path_factory.mktemp("clip") / "toy"))
