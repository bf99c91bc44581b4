"""The ML backend for Label Studio: the Python API's masks in its words, and photos and the key where they belong."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")

from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from support.server import PHOTO, running

from fastsam_onnx import FastSAM

SETUP = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="masks" toName="photo"><Label value="cup"/><Label value="object"/></BrushLabels>
  <KeyPointLabels name="points" toName="photo" smart="true"><Label value="cup"/><Label value="fork"/></KeyPointLabels>
</View>"""
PERSONAL = "a.personal.token"


@cache
def bundled():
    return FastSAM()


@pytest.fixture(scope="module")
def example(load_example):
    return load_example("label_studio")


@contextmanager
def label_studio(elsewhere="", photo=PHOTO):
    """A server that shows its photo to whom it knows, and sends for /bucket to another."""
    asked = []

    async def refresh(request):
        token = (await request.json())["refresh"]
        if token != PERSONAL:
            return Response(b"<html>Sign in</html>")  # as a proxy before it does
        return JSONResponse({"access": "for minutes"})

    async def show(request):
        asked.append(request.headers.get("authorization"))
        known = elsewhere == "open" or asked[-1] in ("Bearer for minutes", "Token legacy")
        return Response(photo) if known else Response(status_code=401)

    async def send_on(request):
        return RedirectResponse(elsewhere)

    routes = [
        Route("/api/token/refresh", refresh, methods=["POST"]),
        Route("/a.jpg", show),
        Route("/my photos/ä.jpg", show),
        Route("/bucket", send_on),
    ]
    with running(Starlette(routes=routes)) as client:
        yield SimpleNamespace(address=f"http://127.0.0.1:{client.port}", asked=asked)


def point(x, y, label="cup", positive=True):
    value = {"x": 100 * x / 600, "y": 100 * y / 400, "width": 0.3, "keypointlabels": [label]}
    return {"type": "keypointlabels", "value": value, "is_positive": positive, "image_rotation": 0}


def box(x1, y1, x2, y2, **more):
    value = {"x": x1 / 6, "y": y1 / 4, "width": (x2 - x1) / 6, "height": (y2 - y1) / 4, "rectanglelabels": ["cup"]}
    return {"type": "rectanglelabels", "value": {**value, "rotation": 0, **more}}


def ask(example, *drawn, place="/a.jpg", setup=SETUP, key=PERSONAL, tasks=None, studio=label_studio, model=None):
    with studio() as server:
        backend = example.Backend(model or bundled(), "nano", example.Server(server.address, key))
        tasks = tasks or [{"id": 1, "data": {"picture": place}}]
        body = {
            "tasks": tasks,
            "label_config": setup,
            "params": {"context": {"result": list(drawn)} if drawn else None},
        }
        with running(backend.app) as client:
            reply = client.ask("POST", "/predict", json.dumps(body))
        return reply.status, reply.json, server.asked


def unpacked(rle):
    """thi.ng's rle-pack, read bit by bit as its documentation says."""
    bits = iter("".join(f"{byte:08b}" for byte in rle))

    def read(count):
        return int("".join(next(bits) for _ in range(count)), 2)

    total, word, lengths, found = read(32), read(5) + 1, [read(4) + 1 for _ in range(4)], []
    while len(found) < total:
        run, length = read(1), read(lengths[read(2)]) + 1
        found += [read(word)] * length if run else [read(word) for _ in range(length)]
    return np.array(found, np.uint8)


def painted(region):
    picture = unpacked(region["value"]["rle"]).reshape(region["original_height"], region["original_width"], 4)
    assert (picture == picture[:, :, :1]).all()
    assert set(np.unique(picture)) <= {0, 255}
    return picture[:, :, 3] > 0


@pytest.mark.parametrize(("size", "share"), [*product([(1, 1), (3, 5), (60, 70)], [0.0, 0.4, 1.0])])
def test_a_mask_is_what_the_brush_has(example, size, share):
    mask = np.random.default_rng(0).random(size) < share
    assert (unpacked(example.brush_rle(mask)) == np.repeat(255 * mask.ravel(), 4)).all()


def test_a_run_that_is_longer_than_a_length_can_say(example):
    mask = np.ones((1, 100_000), bool)
    mask[0, 70_000:] = False
    assert (unpacked(example.brush_rle(mask)) == np.repeat(255 * mask.ravel(), 4)).all()


def test_points_and_boxes_mean_what_they_mean_in_python(example):
    found = bundled()(PHOTO)
    for drawn, expected in (
        ([point(300, 150)], found.point_prompt([300, 150])),
        ([point(300, 150), point(230, 340)], found.point_prompt([[300, 150], [230, 340]])),
        ([point(300, 150), point(230, 340, positive=False)], found.point_prompt([[300, 150], [230, 340]], [1, 0])),
        ([box(170, 12, 415, 305)], found.box_prompt([170, 12, 415, 305])),
        (
            [box(170, 12, 415, 305), point(200, 290, positive=False)],
            found.box_prompt([170, 12, 415, 305], [[200, 290]], [0]),
        ),
        (  # who clicks beyond a box means more
            [box(170, 12, 415, 305), point(440, 150), point(20, 20, positive=False)],
            found.box_prompt([170, 12, 440, 305], [[440, 150], [20, 20]], [1, 0]),
        ),
    ):
        status, content, _ = ask(example, *drawn)
        [region] = content["results"][0]["result"]
        assert status == 200
        assert (region["from_name"], region["to_name"], region["type"]) == ("masks", "photo", "brushlabels")
        assert region["value"]["brushlabels"] == ["cup"]
        assert region["score"] == content["results"][0]["score"] == expected[0].predicted_iou > 0.7
        assert np.array_equal(painted(region), expected[0].mask.dense())


def test_a_point_that_means_nothing_is_answered_with_nothing(example):
    status, content, _ = ask(example, point(900, 150))
    assert (status, content) == (200, {"results": [{"result": [], "score": 0.0, "model_version": "nano"}]})


def test_a_photo_is_looked_at_once(example):
    calls = []

    def counted(photo):
        calls.append(1)
        return bundled()(photo)

    tasks = [{"id": number, "data": {"picture": "/a.jpg"}} for number in range(3)]
    status, content, asked = ask(example, point(300, 150), tasks=tasks, model=counted)
    assert (status, len(content["results"])) == (200, 3)
    assert len(calls) == len(asked) == 1


def test_before_anything_is_drawn_the_objects_that_are_called_like_a_label(example):
    everything = bundled()(PHOTO)
    _, content, _ = ask(example)
    regions = content["results"][0]["result"]
    assert [painted(each).sum() for each in regions] == [each.mask.area for each in everything]
    assert {each["value"]["brushlabels"][0] for each in regions} == {"object"}
    _, content, _ = ask(example, setup=SETUP.replace('"object"', '"thing"'))
    assert content["results"] == [{"result": [], "score": 0.0, "model_version": "nano"}]


@pytest.mark.parametrize(
    ("key", "sent"), [(PERSONAL, ["Bearer for minutes"]), ("legacy", ["Token legacy"]), (None, [None])]
)
def test_tokens_of_both_kinds(example, key, sent):
    status, content, asked = ask(example, point(300, 150), key=key)
    assert asked == sent
    if key is None:
        assert status == 422
        assert "answers 401" in content["error"]
        assert "LABEL_STUDIO_API_KEY" in content["error"]


def test_the_key_is_not_sent_where_label_studio_sends_for_a_photo(example):
    with label_studio("open") as bucket:
        status, _, _ = ask(
            example, point(300, 150), place="/bucket", studio=lambda: label_studio(f"{bucket.address}/a.jpg")
        )
        assert (status, bucket.asked) == (200, [None])


@pytest.mark.parametrize("place", ["/my photos/ä.jpg", "/my%20photos/%C3%A4.jpg", "/a.jpg?d=my photos/a.jpg"])
def test_places_with_spaces(example, place):
    assert ask(example, point(300, 150), place=place)[0] == 200


@pytest.mark.parametrize(
    ("arguments", "says"), [(["localhost:8080"], "http://"), (["http://localhost", "--model", "no.onnx"], "no.onnx")]
)
def test_what_cannot_be_served_is_refused(example, capsys, arguments, says):
    with pytest.raises(SystemExit):
        example.main(arguments)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://127.0.0.1:9/a.jpg", "//example.com/a.jpg", "s3://a/b"])
def test_photos_of_other_places_are_refused(example, place):
    status, content, asked = ask(example, point(300, 150), place=place)
    assert (status, asked) == (422, [])
    assert "photos must lie at" in content["error"]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"setup": "<View>"}, 422, "XML"),
        ({"setup": "<View><Image name='photo' value='$picture'/></View>"}, 422, "BrushLabels"),
        ({"drawn": [point(300, 150, "fork")]}, 422, "'fork'"),
        ({"drawn": [{"type": "ellipselabels", "value": {"ellipselabels": ["cup"]}}]}, 422, "ellipselabels"),
        ({"drawn": [box(1, 1, 9, 9), box(1, 1, 9, 9)]}, 422, "got 2"),
        ({"drawn": [box(1, 1, 9, 9, rotation=30)]}, 422, "rotated"),
        ({"drawn": [{"type": "keypointlabels", "value": {}}]}, 400, "KeyError"),
        ({"drawn": [{"type": "keypointlabels", "value": {"keypointlabels": []}}]}, 400, "IndexError"),
        ({"key": "a.stranger's.token"}, 422, "an access token, got b'<html>"),
        ({"tasks": [{"id": 1, "data": {}}]}, 400, "picture"),
        ({"place": "/no.jpg"}, 422, "404"),
        ({"studio": lambda: label_studio(photo=b"GIF")}, 422, "picture"),
    ],
)
def test_what_cannot_be_answered_says_why(example, changes, status, reason):
    drawn = changes.pop("drawn", [point(300, 150)])
    found, content, _ = ask(example, *drawn, **changes)
    assert (found, list(content)) == (status, ["error"])
    assert reason in content["error"]


def test_what_label_studio_asks_when_it_connects(example):
    with running(example.Backend(bundled(), "nano", example.Server("http://127.0.0.1:9")).app) as client:
        assert client.ask("GET", "/health").json["status"] == "UP"
        assert client.ask("POST", "/setup", "{}").json == {"model_version": "nano"}
        assert client.ask("GET", "/versions").json == {"versions": ["nano"]}
        assert client.ask("POST", "/webhook", "{}").status == 200
