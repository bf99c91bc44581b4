"""Classes of the network and names by CLIP, asked of the server."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from support import tiny_onnx, toy_clip
from support.server import running

from fastsam_onnx import Clip, FastSAM
from fastsam_onnx.serve import Service

BOXES = [[20, 20, 24, 24], [48, 50, 24, 20]]
"""cx, cy, w, h of a person, red in the photo, and of a dog, blue."""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    metadata = {"names": str({0: "person", 1: "dog"})}
    scores = [[0.9, 0.1], [0.1, 0.8]]
    network = tiny_onnx.known(BOXES, scores, [[5.0]] * 2, np.ones((1, 16, 16)), metadata=metadata)
    clip = Clip(toy_clip.write(tmp_path_factory.mktemp("clip") / "toy"))
    with running(Service(FastSAM(network, threads=1, clip=clip), workers=1).app) as running_client:
        yield running_client


@pytest.fixture(scope="module")
def photo():
    picture = np.full((64, 64, 3), 128, np.uint8)
    picture[8:32, 8:32], picture[40:60, 36:60] = toy_clip.COLOURS["red"], toy_clip.COLOURS["blue"]
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({}, ["person", "dog"]),
        ({"classes": ["dog"]}, ["dog"]),
        ({"classes": 0}, ["person"]),
        ({"classify": ["blue", "red"]}, ["red", "blue"]),
        ({"classify": "red", "threshold": 0.9}, ["red"]),
        ({"classify": "red", "threshold": 0.9, "other": "thing"}, ["red", "thing"]),
        ({"classes": ["dog"], "points": [48, 50], "classify": ["blue", "red"]}, ["blue"]),
    ],
)
def test_names_of_objects(client, photo, prompts, expected):
    reply = client.form(("photo", photo), ("prompts", json.dumps(prompts)))
    assert reply.status == 200, reply.json
    assert [one["name"] for one in reply.json["objects"]] == expected


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ({"classes": ["cat"]}, "got 'cat'"),
        ({"classes": [1.5]}, "classes must be names or indices"),
        ({"classify": []}, "text"),
        ({"other": "thing"}, "other is given without classify"),
        (
            {"classify": [f"a {number}" for number in range(201)]},
            "at most 200 points, boxes, masks and texts together, got 201",
        ),
        (
            {"classify": ["red", "x" * 1001]},
            '"other" and each of "classify" must have at most 1000 letters here, got 1001',
        ),
        ({"classify": "red", "threshold": 0.9, "other": "x" * 1001}, "at most 1000 letters here, got 1001"),
    ],
)
def test_what_means_nothing_is_refused(client, photo, prompts, reason):
    reply = client.form(("photo", photo), ("prompts", json.dumps(prompts)))
    assert (reply.status, reason in reply.json["error"]) == (422, True)
