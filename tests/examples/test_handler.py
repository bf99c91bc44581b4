"""The serverless handler: events of both payload formats in, the Python API's answers out, 4xx with a reason."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastsam_onnx import FastSAM, Mask, Prompts
from fastsam_onnx.formats import FORMATS, encode, to_dict

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTO = EXAMPLES / "coffee.jpg"
BOX = [150, 80, 480, 320]


@pytest.fixture(scope="module")
def function(load_example) -> ModuleType:
    return load_example("serverless/handler")


def rest(
    body: str | None,
    method: str = "POST",
    content_type: str = "application/json",
    coded: bool = False,
    query: dict[str, str] | None = None,
) -> Any:
    """The event of a REST API, payload format 1.0."""
    return {
        "httpMethod": method,
        "path": "/",
        "headers": {"Content-Type": content_type},
        "queryStringParameters": query,
        "body": body,
        "isBase64Encoded": coded,
    }


def http(
    body: str | None,
    method: str = "POST",
    content_type: str = "application/json",
    coded: bool = False,
    query: dict[str, str] | None = None,
) -> Any:
    """The event of an HTTP API or a function URL, payload format 2.0; what a request lacks has no key."""
    event = {
        "version": "2.0",
        "headers": {"content-type": content_type},
        "requestContext": {"http": {"method": method}},
        "isBase64Encoded": coded,
    }
    event |= {} if body is None else {"body": body}
    return event if query is None else {**event, "queryStringParameters": query}


def photo() -> str:
    return base64.b64encode(PHOTO.read_bytes()).decode()


def call(function: ModuleType, event: Any) -> tuple[int, Any]:
    answer = json.loads(json.dumps(function.handler(event, None)))  # the platform sends it as JSON
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["isBase64Encoded"] is False
    return answer["statusCode"], json.loads(answer["body"])


def refused(function: ModuleType, status: int, reason: str, **fields: Any) -> None:
    found, content = call(function, rest(json.dumps({"photo": photo(), **fields})))
    assert (found, list(content)) == (status, ["error"])
    assert reason in content["error"]


def test_objects_that_nobody_sees_are_not_drawn_anew(function, options_used):
    for fields, expected in (
        ({"prompts": {"points": [[20, 20]]}}, False),
        ({"redraw": True}, True),
        ({"redraw": False}, False),
        ({}, function.model.options["redraw"]),
    ):
        assert call(function, rest(json.dumps({"photo": photo(), **fields})))[0] == 200
        assert options_used[-1].redraw is expected


@pytest.mark.parametrize("event", [rest, http])
def test_without_prompts_the_answer_is_everything_as_python_finds_it(function, event):
    status, content = call(function, event(json.dumps({"photo": photo()})))
    expected = to_dict(FastSAM()(PHOTO.read_bytes()))
    assert status == 200
    assert len(content["objects"]) > 1
    assert content == json.loads(json.dumps(expected))


def test_points_and_boxes_choose_as_python_does(function):
    prompts = {"points": [[300, 200], [20, 20]], "labels": [1, 0], "boxes": [BOX]}
    fields = {"photo": photo(), "prompts": prompts, "conf": 0.1}
    status, content = call(function, http(json.dumps(fields)))
    found = FastSAM(conf=0.1)(PHOTO.read_bytes())
    expected = [*found.point_prompt([[300, 200], [20, 20]], [1, 0]), *found.box_prompt([BOX])]
    assert status == 200
    assert [each["prompt_index"] for each in content["objects"]] == [0, 1]
    for each, ours in zip(content["objects"], expected, strict=True):
        assert np.array_equal(Mask.from_rle(each["rle"]).dense(), ours.mask.dense())


def test_prompts_may_be_the_list_of_rembg_and_samexporter(function):
    entries = [{"type": "point", "data": [300, 200], "label": 1}, {"type": "rectangle", "data": BOX}]
    status, content = call(function, rest(json.dumps({"photo": photo(), "prompts": entries})))
    found = FastSAM()(PHOTO.read_bytes())
    expected = [*found.point_prompt([300, 200]).masks, *found.box_prompt(BOX).masks]
    assert status == 200
    assert [each["rle"] for each in content["objects"]] == [mask.rle() for mask in expected]


@pytest.mark.parametrize("event", [rest, http])
def test_a_gateway_may_code_the_body_and_a_photo_may_come_as_it_is(function, event):
    as_json = base64.b64encode(json.dumps({"photo": "data:image/jpeg;base64," + photo()}).encode()).decode()
    answers = [
        call(function, event(json.dumps({"photo": photo()}))),
        call(function, event(as_json, coded=True)),
        call(function, event(photo(), content_type="image/jpeg", coded=True)),
    ]
    assert answers[0][0] == 200
    assert answers[0] == answers[1] == answers[2]


def test_polygons_and_fewer_objects_on_request(function):
    fields = {"photo": photo(), "masks": "polygons", "tolerance": 2, "max_det": 3, "iou": 0.5}
    status, content = call(function, rest(json.dumps(fields)))
    assert status == 200
    assert 0 < len(content["objects"]) <= 3
    assert all("polygons" in each for each in content["objects"])


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("json", {}),
        ("coco", {}),
        ("svg", {"tolerance": 2}),
        ("geojson", {}),
        ("yolo", {}),
        ("overlay", {}),
        ("cutout", {"soft": True}),
        ("cutout", {"soft": True, "whole": True}),
        ("mask", {"grow": 4}),
        ("labels", {}),
    ],
)
def test_other_formats_are_those_of_python(function, form, options):
    fields = {"photo": photo(), "prompts": {"boxes": BOX}, "format": form, **options}
    answer = function.handler(rest(json.dumps(fields)))
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] in FORMATS[form].media_types.values()
    body = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    shown = {"boxes": [BOX]} if form == "overlay" else {}
    assert body == encode(function.model(PHOTO.read_bytes()).box_prompt(BOX), form, **shown, **options)
    assert answer["isBase64Encoded"] == (form in ("overlay", "cutout", "mask", "labels"))


def test_objects_that_share_no_pixel_are_those_of_python(function):
    answer = function.handler(rest(json.dumps({"photo": photo(), "disjoint": True})))
    found = function.model(PHOTO.read_bytes())
    assert answer["body"].encode() == encode(found.disjoint(), "json") != encode(found, "json")
    refused(function, 422, "disjoint must be True or False, got 'yes'", disjoint="yes")


def test_objects_without_their_parts_are_those_of_python(function):
    answer = function.handler(rest(json.dumps({"photo": photo(), "parts": False})))
    found = function.model(PHOTO.read_bytes())
    assert answer["body"].encode() == encode(found.without_parts(), "json") != encode(found, "json")
    refused(function, 422, "parts must be True or False, got 0", parts=0)


def test_small_objects_are_left_out(function):
    found = function.model(PHOTO.read_bytes())
    middle = int(np.median(found.areas))
    answer = function.handler(rest(json.dumps({"photo": photo(), "min_area": middle})))
    assert answer["body"].encode() == encode(found[found.areas >= middle], "json") != encode(found, "json")
    refused(function, 422, "min_area must be an integer >= 0, got -1", min_area=-1)


def test_an_overlay_shows_the_prompts_as_the_command_line_does(function):
    """The function's had the objects alone."""
    prompts = {"points": [[300, 200], [20, 20]], "labels": [1, 0], "boxes": [BOX]}
    answer = function.handler(rest(json.dumps({"photo": photo(), "prompts": prompts, "format": "overlay"})))
    found = function.model(PHOTO.read_bytes()).prompt(Prompts(**prompts))
    shown = encode(found, "overlay", points=[[300, 200], [20, 20]], point_labels=[1, 0], boxes=[BOX])
    assert base64.b64decode(answer["body"]) == shown != encode(found, "overlay")


def test_every_format_of_one_file_can_be_asked_for(function):
    assert set(function.ANSWERS) == set(FORMATS) - {"cutouts", "masks"}
    kinds = set(function.ANSWERS.values())
    assert {kind for kind in kinds if kind not in function.TEXTS} == {"image/png", "image/vnd.adobe.photoshop"}


@pytest.mark.parametrize("event", [rest, http])
@pytest.mark.parametrize(
    ("status", "reason", "parts"),
    [
        (400, "no body", {"body": None}),
        (400, "no body", {"body": ""}),
        (400, "neither JSON nor", {"body": "{"}),
        (400, "neither JSON nor", {"body": "[" * 100_000}),
        (400, "'photo' is there twice", {"body": '{"photo": "", "photo": ""}'}),
        (400, '{"photo": "<base64>", ...}', {"body": "[]"}),
        (400, '{"photo": "<base64>", ...}', {"body": '{"photo": 7}'}),
        (400, "the photo is not base64", {"body": '{"photo": "é"}'}),
        (400, "the photo is not base64", {"body": '{"photo": "abc"}'}),
        (400, "the body is not base64", {"body": "???", "coded": True}),
        (
            400,
            "among photo, prompts, conf, iou, max_det, refine, redraw, bands, white, format, min_area, parts, "
            "disjoint, masks, tolerance, soft, whole, grow, got 'path', 'url'",
            {"body": '{"photo": "", "url": "http://a", "path": 1}'},
        ),
        (400, "name image/jpeg among its binary media types", {"body": "\ufffd", "content_type": "image/jpeg"}),
        (400, "no query, got 'format'; fields go in a JSON body", {"body": "{}", "query": {"format": "svg"}}),
        (405, "must be POST, got GET", {"body": None, "method": "GET"}),
        (422, "cannot read bytes", {"body": '{"photo": ""}'}),
        (422, "cannot read bytes", {"body": "aGVsbG8=", "content_type": "image/png", "coded": True}),
    ],
)
def test_what_is_no_request_is_refused_with_a_reason(function, event, status, reason, parts):
    found, content = call(function, event(**parts))
    assert (found, list(content)) == (status, ["error"])
    assert reason in content["error"]


def test_a_405_says_what_is_allowed(function):
    assert function.handler(rest(None, method="GET"), None)["headers"]["allow"] == "POST"


def test_prompts_and_options_that_mean_nothing_are_refused(function):
    for reason, prompts in (
        ("points must have shape", {"points": [1, 2, 3]}),
        ("points must be numbers", {"points": [["a", "b"]]}),
        ("points must be finite numbers", {"points": [[float("nan"), 1]]}),
        ("points must be numbers", {"points": {"x": 1}}),
        ("labels must be 1", {"points": [1, 2], "labels": [3]}),
        ("one label for every point", {"points": [[1, 2], [3, 4]], "labels": [1]}),
        ("labels is given without points", {"labels": [1]}),
        ("pick must be", {"points": [1, 2], "pick": "tallest"}),
        ("boxes must have shape", {"boxes": [[1, 2, 3]]}),
        ("match must be", {"boxes": BOX, "match": []}),
        ("among points, labels", {"point": [1, 2]}),
        ("an object or a list", "middle"),
        ("entry 0", [{"type": "circle"}]),
        ("no CLIP model", {"texts": "a cup"}),
        ("no CLIP model", {"classify": ["cup", "saucer"]}),
        ("there are no classes to choose", {"classes": ["cup"]}),
    ):
        refused(function, 422, reason, prompts=prompts)
    refused(function, 400, "fields must be among photo, prompts", points=[1, 2])
    refused(function, 422, "conf must be a number from 0 to 1", conf="high")
    refused(function, 422, "masks must be", masks="dense")
    refused(function, 422, "tolerance must be a number", tolerance="1")
    refused(function, 422, "max_det must be at most 1000", max_det=10**6)
    for form in ("cutouts", "yaml", 7, ["svg"]):
        refused(function, 422, "format must be one of overlay, labels,", format=form)
    refused(function, 422, "soft must be True or False", format="cutout", soft="yes")
    refused(function, 422, "grow must be an integer from 0 to 1000", format="mask", grow=5000)


def test_null_is_as_if_a_field_were_not_there(function):
    """Of conf it was; clients that send every field of a class of theirs were refused for the others."""
    nothing = dict.fromkeys(set(function.FIELDS) - {"photo"})
    plain, null = (call(function, rest(json.dumps({"photo": photo(), **more}))) for more in ({}, nothing))
    assert plain == null
    assert plain[0] == 200
    assert call(function, rest(json.dumps({"photo": None})))[0] == 400


def test_too_much_is_refused_before_it_is_computed(function, monkeypatch):
    monkeypatch.setattr(function, "model", None)  # would fail if asked
    has = "of masks, tolerance, soft, whole, grow"
    refused(function, 422, f"{has} svg has tolerance, got soft", format="svg", soft=True)
    refused(function, 422, f"{has} json has masks, tolerance, got grow", grow=4)
    refused(function, 422, f"{has} labels has none, got tolerance", format="labels", tolerance=1)
    refused(
        function,
        422,
        "at most 256 points, boxes, masks and texts, got 300",
        prompts={"points": [[1, 2]] * 299, "boxes": BOX},
    )
    refused(
        function, 422, "at most 256 points, boxes, masks and texts, got 300", prompts={"points": [[[1, 2]] * 30] * 10}
    )
    monkeypatch.setattr(function, "BODY_LIMIT", 1000)
    refused(function, 413, "at most 1000 bytes")


def test_masks_are_prompts_and_must_not_be_larger_than_a_photo_may_be(function, monkeypatch):
    found = function.model(PHOTO)
    mask = found.masks[0]
    _, content = call(function, rest(json.dumps({"photo": photo(), "prompts": {"masks": [mask.rle()]}})))
    assert [one["rle"] for one in content["objects"]] == [one.rle() for one in found.mask_prompt(mask).masks]
    monkeypatch.setattr(function, "model", None)  # would fail if asked
    monkeypatch.setattr(function, "PIXEL_LIMIT", 1000)
    refused(function, 422, "at most 1000 pixels", prompts={"masks": [mask.rle()]})


def test_large_photos_and_large_answers_are_refused(function, monkeypatch):
    monkeypatch.setattr(function, "ANSWER_LIMIT", 500)
    refused(function, 422, "bytes, 500 can be sent")
    monkeypatch.setattr(function, "PIXEL_LIMIT", 1000)
    refused(function, 422, "more than the pixel limit of 1000")


def test_layers_that_cannot_be_sent_are_not_made(function, monkeypatch):
    """Of a photo of 24 megapixels they took 6 GB, and were refused then."""
    answer = function.handler(rest(json.dumps({"photo": photo(), "format": "psd", "max_det": 1})))
    assert answer["statusCode"] == 200
    assert base64.b64decode(answer["body"])[:4] == b"8BPS"
    monkeypatch.setattr(function, "encode", None)  # would fail if asked
    monkeypatch.setattr(function, "ANSWER_LIMIT", 4 * len(answer["body"]) // 5)
    refused(function, 422, "a psd of this photo and 13 objects has more than", format="psd")


def test_too_little_memory_is_a_413(function, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(function, "model", full)
    refused(function, 413, "more memory than the function has")


def test_a_fault_of_ours_is_a_500_that_tells_the_log_alone(function, monkeypatch, caplog):
    monkeypatch.setattr(function, "model", None)
    status, content = call(function, rest(json.dumps({"photo": photo()})))
    assert (status, content) == (500, {"error": "the function failed; its log says why"})
    assert "NoneType" in caplog.text


def test_what_the_log_is_warned_of_is_told_to_the_client(function):
    for at, is_warned in (([0.5, 0.4], True), ([300, 200], False)):
        answer = function.handler(rest(json.dumps({"photo": photo(), "prompts": {"points": [at]}})), None)
        assert answer["statusCode"] == 200
        assert ("points are pixels" in answer["headers"].get("warning", "")) is is_warned


def test_its_page_names_every_field_and_every_prompt_that_is_taken_or_refused(function):
    page = (EXAMPLES / "serverless" / "README.md").read_text("utf-8")
    of_texts = ("texts", "top_k", "threshold", "negative", "other")
    prompts = [field.name for field in dataclasses.fields(Prompts) if field.name not in of_texts]
    assert [name for name in (*function.FIELDS, *prompts) if f"`{name}`" not in page] == []
