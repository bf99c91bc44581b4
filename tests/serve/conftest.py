"""A model, what it finds in the example photo, and a server of it that really listens."""

import pytest
from support.server import PHOTO, running

from fastsam_onnx import FastSAM


@pytest.fixture(scope="session")
def model():
    with FastSAM(threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def found(model):
    return model(PHOTO)


@pytest.fixture(scope="module")
def client(model):
    from fastsam_onnx.serve.service import Service

    with running(Service(model, workers=2).app) as client:
        yield client
