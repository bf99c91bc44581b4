"""Label files by their names and contents."""

import json

import pytest
from support.samples import make_sample

from fastsam_onnx.results.segmentation import Segmentation


@pytest.fixture
def sample() -> Segmentation:
    return make_sample()


@pytest.fixture
def write(tmp_path):
    """Write files below tmp_path: texts as they are, other values as JSON. Gives the folder."""

    def write_files(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return tmp_path

    return write_files
