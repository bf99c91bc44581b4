"""A CLIP for the tests of this room."""

import pytest
from support import toy_clip

from fastsam_onnx import Clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP that knows colours."""
    return Clip(toy_clip.write(tmp_path_factory.mktemp("clip") / "toy"))
