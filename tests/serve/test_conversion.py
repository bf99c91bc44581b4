"""POST /convert: a result in our JSON comes back in another format, as the command line's convert writes it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from support.server import BOUNDARY, PHOTO, form_body, running

from fastsam_onnx import Mask, Segmentation
from fastsam_onnx.formats import FORMATS, encode, to_cutouts
from fastsam_onnx.formats.native import read_json
from fastsam_onnx.formats.registry import OF_THE_PHOTO, OUTLINES
from fastsam_onnx.serve.conversion import MASK_PHOTOS, MOST_RESULT_BYTES
from fastsam_onnx.serve.received import Limits
from fastsam_onnx.serve.service import Service

FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
FORMS = [name for name, kind in FORMATS.items() if not kind.folder]


@pytest.fixture(scope="module")
def chosen(found):
    """Three objects of the photo as JSON has them: without what else the network offered, which edges are made of."""
    return replace(read_json(json_of(replace(found[:3], source="coffee.jpg"))), image=found.image)


def converted(client, *fields, query="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.ask("POST", f"/convert{query}", form_body(*fields), {**FORM, **named})


def json_of(found):
    return encode(found, "json")


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_written_as_python_writes_it(client, chosen, form):
    photo = [("photo", PHOTO)] if form in OF_THE_PHOTO else []
    reply = converted(client, ("result", json_of(chosen)), *photo, ("format", form))
    kind = reply.headers["content-type"].removesuffix("; charset=utf-8")
    assert (reply.status, kind) == (200, next(iter(FORMATS[form].media_types.values())))
    assert reply.body == encode(chosen, form)


def test_a_result_may_be_the_body_and_accept_choose_the_format(client, chosen):
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "application/octet-stream"}):
        reply = client.ask("POST", "/convert", json_of(chosen), {"Accept": "image/svg+xml", **headers})
        assert (reply.status, reply.body) == (200, encode(chosen, "svg"))
    reply = client.ask("POST", "/convert?format=yolo&tolerance=3", json_of(chosen))
    assert reply.body == encode(chosen, "yolo", tolerance=3)


def test_objects_that_share_no_pixel_are_those_of_python(client, found):
    overlapping = replace(read_json(json_of(found)), image=found.image)
    assert overlapping.masks.dense().sum(axis=0).max() > 1
    expected = encode(overlapping.disjoint(), "svg")
    result = ("result", json_of(overlapping))
    assert converted(client, result, ("disjoint", "true"), ("format", "svg")).body == expected
    assert converted(client, result, ("disjoint", "false"), ("format", "svg")).body == encode(overlapping, "svg")
    assert client.form(("photo", PHOTO), ("disjoint", "true"), ("format", "svg")).body == expected
    expected = encode(overlapping.without_parts(), "svg")
    assert encode(overlapping, "svg") != expected
    assert converted(client, result, ("parts", "false"), ("format", "svg")).body == expected
    assert client.form(("photo", PHOTO), ("parts", "false"), ("format", "svg")).body == expected
    both = encode(overlapping.without_parts().disjoint(), "svg")
    assert converted(client, result, ("parts", "false"), ("disjoint", "true"), ("format", "svg")).body == both
    middle = int(np.median(overlapping.areas))
    large = encode(overlapping[overlapping.areas >= middle], "svg")
    assert converted(client, result, ("min_area", str(middle)), ("format", "svg")).body == large
    reply = converted(client, result, ("min_area", "-1"))
    assert (reply.status, "min_area must be an integer" in reply.json["error"]) == (422, True)
    reply = converted(client, result, ("parts", "no way"))
    assert (reply.status, "parts must be true or false, got" in reply.json["error"]) == (422, True)
    reply = converted(client, result, ("disjoint", "maybe"))
    assert (reply.status, "disjoint must be true or false, got" in reply.json["error"]) == (422, True)


def test_soft_cut_outs_are_those_of_python(client, chosen):
    fields = [("result", json_of(chosen)), ("photo", PHOTO), ("soft", "true"), ("whole", "true")]
    assert converted(client, *fields, query="?format=cutout").body == encode(chosen, "cutout", soft=True, whole=True)
    reply = converted(client, *fields, query="?format=cutouts")
    expected = {
        name: encode(chosen[index : index + 1], "cutout", soft=True, whole=True)
        for index, (name, _) in enumerate(to_cutouts(chosen))
    }
    with zipfile.ZipFile(io.BytesIO(reply.body)) as files:
        assert {name: files.read(name) for name in files.namelist()} == expected


@pytest.mark.parametrize("form", OF_THE_PHOTO)
def test_the_photo_is_shown_as_it_was_read(client, form):
    """A TIFF of 12 bits in 16 is nearly black, unless white is said again, or the key stands for what was read."""
    picture = cv2.imdecode(np.frombuffer(PHOTO, np.uint8), cv2.IMREAD_COLOR)[::4, ::4]
    tiff = cv2.imencode(".tiff", picture.astype(np.uint16) * 16)[1].tobytes()
    reading = [("bands", "3,2,1"), ("white", "4080")]
    segmented = client.form(("photo", tiff), *reading, ("remember", "true"), ("conf", "0.5"))
    wanted = client.form(("photo", tiff), *reading, ("conf", "0.5"), ("format", form)).body
    result, key = ("result", segmented.body), ("photo_key", segmented.headers["photo-key"])
    for fields in ([("photo", tiff), *reading], [key], [key, *reading]):
        assert converted(client, result, *fields, ("format", form)).body == wanted
    assert converted(client, result, ("photo", tiff), ("format", form)).body != wanted
    assert converted(client, result, key, ("white", "65535"), ("format", form)).body != wanted
    reply = converted(client, result, ("photo", tiff), ("bands", "4"), ("format", form))
    assert (reply.status, "from 1 to 3, got 4" in reply.json["error"]) == (422, True)


def test_a_key_stands_for_the_photo_of_the_last_answer_also_of_one_that_is_remembered(client):
    picture = cv2.imdecode(np.frombuffer(PHOTO, np.uint8), cv2.IMREAD_COLOR)[::4, ::4]
    tiff = cv2.imencode(".tiff", picture)[1].tobytes()
    segmented = client.form(("photo", tiff), ("remember", "true"))
    result, key = ("result", segmented.body), ("photo_key", segmented.headers["photo-key"])
    wanted = converted(client, result, key, ("format", "cutout")).body
    assert client.form(key, ("bands", "3,2,1")).status == 200
    assert converted(client, result, key, ("format", "cutout")).body != wanted
    assert client.form(key).body == segmented.body
    assert converted(client, result, key, ("format", "cutout")).body == wanted


def test_what_segment_answers_comes_back_as_it_was(client, found):
    answer = client.segment(PHOTO).body
    assert client.ask("POST", "/convert", answer).body == answer


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ([], 422, "there must be one result, in a field named 'result', got 0"),
        ([("photo", b"x")], 422, "there must be one result, in a field named 'result', got 0"),
        ([("result", "{}"), ("result", "{}")], 422, "there must be one result, in a field named 'result', got 2"),
        ([("result", "{}"), ("photo", b"x"), ("photo", b"x")], 422, "one photo, in a field named 'photo', got 2"),
        ([("result", "{}")], 422, 'a result must be an object with "format": "fastsam-onnx"'),
        ([("result", "[")], 422, "a result must be JSON"),
        ([("result", "{}"), ("format", "overlay")], 422, "overlay shows the photo; send it, too, in a field named"),
        ([("result", "{}"), ("format", "cutouts")], 422, "cutouts shows the photo"),
        ([("result", "{}"), ("photo", b"x")], 422, "the photo cannot be read"),
        ([("result", "{}"), ("format", "yaml")], 422, "format must be one of"),
        ([("result", "{}"), ("soft", "true")], 422, "soft is for cut-outs"),
        ([("result", "{}"), ("white", "4095")], 422, "white is for the photo; send it, too, in a field named 'photo'"),
        ([("result", "{}"), ("photo", PHOTO), ("white", "0")], 422, "white must be a number >= 1e-30, got 0"),
        (
            [("result", "{}"), ("conf", "0.5")],
            422,
            "parameters must be among format, min_area, parts, disjoint, tolerance, soft, whole, grow, bands, white, ",
        ),
        ([("result", b" " * (MOST_RESULT_BYTES + 1))], 413, f"a result must have at most {MOST_RESULT_BYTES} bytes"),
    ],
)
def test_what_means_nothing_is_refused(client, fields, status, reason):
    reply = converted(client, *fields)
    assert reply.status == status
    assert reason in reply.json["error"]


def test_labelme_needs_the_photo_or_its_name(client, chosen):
    """What was told to do, `image_path=`, is Python's alone."""
    nameless = json_of(replace(chosen, source=None))
    reply = converted(client, ("result", nameless), ("format", "labelme"))
    assert reply.status == 422
    assert "send it, too, in a field named 'photo', or say its name as \"source\"" in reply.json["error"]
    for more in ([("photo", PHOTO)], []):
        result = nameless if more else json_of(chosen)
        assert converted(client, ("result", result), ("format", "labelme"), *more).status == 200


def test_other_bodies_are_refused(client, chosen):
    reply = client.ask("POST", "/convert", PHOTO, {"Content-Type": "image/jpeg"})
    assert reply.status == 415
    assert reply.json["error"].startswith("the body must be a result, application/json or application/octet-stream, or")
    assert client.ask("POST", "/convert").json["error"].startswith("the request is empty; send a result as its body")
    other = Segmentation.from_masks([Mask.from_dense(np.ones((5, 5), bool))])
    for form in ("overlay", "svg"):
        reply = converted(client, ("result", json_of(other)), ("photo", PHOTO), ("format", form))
        reason = "the photo must be that of the result, 5 x 5 pixels, got 600 x 400"
        assert (reply.status, reply.json["error"]) == (422, reason)


def test_a_few_characters_fill_no_memory(model):
    """A mask as large as the photo takes twenty characters, and a byte for each pixel once it is read."""
    full = {"score": 1, "box": [0, 0, 100, 100], "rle": {"size": [100, 100], "counts": [0, 10_000]}}
    document = {"format": "fastsam-onnx", "version": 1, "width": 100, "height": 100, "source": None}
    with running(Service(model, workers=1, limits=Limits(pixels=10_000, prompts=2)).app) as client:

        def reply(count, **changes):
            return client.ask("POST", "/convert", json.dumps({**document, "objects": [full] * count, **changes}))

        assert reply(MASK_PHOTOS).status == 200
        refused = reply(MASK_PHOTOS + 1)
        assert refused.status == 422
        assert "the rectangles around the masks must have at most 40000 pixels together" in refused.json["error"]
        corners = {"score": 1, "box": [0, 0, 100, 100], "rle": {"size": [100, 100], "counts": [0, 1, 9_998, 1]}}
        assert "those of the first 5 objects have 50000" in reply(0, objects=[corners] * 5).json["error"]
        assert "at most 10000 pixels, got 100 x 101" in reply(0, height=101).json["error"]
        small = {"score": 1, "box": [0, 0, 1, 1], "rle": {"size": [100, 100], "counts": [0, 1, 9_999]}}
        most = model.options["max_det"] + 2
        assert reply(0, objects=[small] * most).status == 200
        assert f"at most {most} objects here, got {most + 1}" in reply(0, objects=[small] * (most + 1)).json["error"]
        large = converted(client, ("result", "{}"), ("photo", PHOTO))
        assert (large.status, "a photo must have at most 10000 pixels" in large.json["error"]) == (413, True)


def noise(side):
    """Every second pixel of every second row: as many islands as can be in one place."""
    dense = np.zeros((side, side), bool)
    dense[::2, ::2] = True
    return Segmentation.from_masks([Mask.from_dense(dense)], source="noise.png")


@pytest.mark.parametrize("form", OUTLINES)
def test_noise_takes_no_minutes(client, form):
    """A result of 160 kB took 74 s as YOLO's labels, one of 320 kB four times that."""
    result = json_of(noise(220))
    refused = client.ask("POST", f"/convert?format={form}", result)
    assert refused.status == 422
    assert "outlines must have at most 10000 islands and holes and 500000 points together" in refused.json["error"]
    assert client.ask("POST", f"/convert?format={form}", json_of(noise(20))).status == 200
    assert client.ask("POST", "/convert?format=coco", result).status == 200


def test_few_islands_have_so_many_points(client):
    """Combs in one piece, of a tooth at every second pixel of every fourth row."""
    dense = np.zeros((900, 1200), bool)
    dense[::4] = dense[:, 0] = True
    dense[1::4, ::2] = True
    mask = Mask.from_dense(dense)
    assert len(mask.polygons()) == 1
    reply = client.ask("POST", "/convert?format=svg", json_of(Segmentation.from_masks([mask])))
    assert (reply.status, "outlines must have" in reply.json["error"]) == (422, True)


def test_a_name_is_said_with_every_object_and_so_no_long_one(client, chosen):
    """Five hundred objects with a name of 3.9 million letters were an answer of 2 GB, and minutes of an overlay."""
    document = json.loads(json_of(chosen)) | {"names": {"0": "x" * 1000}, "source": "y" * 1000}
    for one in document["objects"]:
        one["label"] = 0
    for form in ("labelme", "coco", "overlay"):
        fields = (("format", form), ("photo", PHOTO))
        assert converted(client, ("result", json.dumps(document)), *fields).status == 200
        for longer in ({"names": {"0": "x" * 1001}}, {"source": "y" * 1001}):
            refused = converted(client, ("result", json.dumps(document | longer)), *fields)
            reason = '"source" and each of "names" must have at most 1000 letters here, got 1001'
            assert (refused.status, refused.json["error"]) == (422, reason)


def test_a_result_has_at_most_so_many_bytes(client, chosen):
    padded = json_of(chosen).ljust(MOST_RESULT_BYTES)
    assert client.ask("POST", "/convert", padded).status == 200
    assert client.ask("POST", "/convert", padded + b" ").status == 413


def test_it_asks_for_the_token(model, chosen):
    with running(Service(model, workers=1, token="t").app) as client:
        assert client.ask("POST", "/convert", json_of(chosen)).status == 401
        assert client.ask("POST", "/convert", json_of(chosen), {"Authorization": "Bearer t"}).status == 200
