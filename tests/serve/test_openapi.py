"""The description of the server is true: its addresses, parameters, statuses and answers are those of the code."""

from __future__ import annotations

import ast
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from starlette.applications import Starlette
from starlette.routing import Mount
from support.samples import random_instances
from support.server import PHOTO, Reader, running

import fastsam_onnx.serve
from fastsam_onnx.formats import FORMATS, from_dict
from fastsam_onnx.images.geotiff import Georeference
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.serve import conversion
from fastsam_onnx.serve.negotiate import REPRESENTATIONS
from fastsam_onnx.serve.openapi import REFUSALS
from fastsam_onnx.serve.received import KEY_HEADER, PHOTO_FIELD
from fastsam_onnx.serve.request import PARAMETERS
from fastsam_onnx.serve.service import Service


@pytest.fixture(scope="module")
def client(model):
    with running(Service(Reader(model), workers=1).app) as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    return client.ask("GET", "/openapi.json").json


@pytest.fixture(scope="module")
def check(document):
    """`check(value, "Name")` validates by a schema of the document."""
    jsonschema = pytest.importorskip("jsonschema")

    def check(value, name):
        root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(root).validate(value)

    return check


def test_it_is_openapi(document, model):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document)
    with running(Service(model, workers=1, token="t").app) as client:
        secured = client.ask("GET", "/openapi.json").json
    validator.validate(secured)
    assert secured["paths"]["/segment"]["post"]["security"] == [{"token": []}]
    refusals = document["paths"]["/segment"]["post"]["responses"]
    assert [status for status, one in refusals.items() if "Retry-After" in one.get("headers", ())] == ["503"]
    assert "401" in secured["paths"]["/info"]["get"]["responses"]
    assert "401" not in document["paths"]["/segment"]["post"]["responses"]


def test_addresses_begin_where_another_application_has_it(document, model):
    assert document["servers"] == [{"url": "/"}]
    app = Starlette(routes=[Mount("/objects", Service(model, workers=1).app)])
    with running(app) as client:
        assert client.ask("GET", "/objects/openapi.json").json["servers"] == [{"url": "/objects"}]


def test_addresses_and_methods_are_those_of_the_application(document, model):
    routes = {(route.path, method) for route in Service(model, workers=1).app.routes for method in route.methods}
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert described == {(path, method) for path, method in routes if method != "HEAD"}  # HEAD comes with GET


def test_parameters_formats_and_media_types_are_those_of_the_code(document):
    operation = document["paths"]["/segment"]["post"]
    assert [one["name"] for one in operation["parameters"]] == list(PARAMETERS)
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert sorted(form["properties"]) == sorted(["photo", *PARAMETERS])
    assert set(operation["responses"]["200"]["headers"]) == {KEY_HEADER, "Warning"}
    assert set(operation["responses"]["200"]["content"]) == {one.media_type for one in REPRESENTATIONS}
    formats = form["properties"]["format"]["enum"]
    assert formats == list(dict.fromkeys(one.format for one in REPRESENTATIONS))
    assert set(formats) <= set(FORMATS)


def test_what_convert_takes_is_that_of_the_code(document):
    operation = document["paths"]["/convert"]["post"]
    assert [one["name"] for one in operation["parameters"]] == list(conversion.PARAMETERS)
    contents = operation["requestBody"]["content"]
    form = contents["multipart/form-data"]["schema"]
    assert sorted(form["properties"]) == sorted([conversion.RESULT_FIELD, PHOTO_FIELD, *conversion.PARAMETERS])
    assert form["required"] == [conversion.RESULT_FIELD]
    assert set(contents) == {"multipart/form-data", "application/json", "application/octet-stream"}
    responses = deepcopy(document["paths"]["/segment"]["post"]["responses"])
    assert responses["200"]["headers"].pop(KEY_HEADER)  # which only a photo that is remembered now has
    assert operation["responses"] == responses


def test_defaults_are_those_of_the_model(document, model):
    schemas = {one["name"]: one.get("schema") for one in document["paths"]["/segment"]["post"]["parameters"]}
    for name in ("conf", "iou", "max_det", "refine", "redraw"):
        assert schemas[name]["default"] == model.options[name]


def test_statuses_are_those_that_the_code_gives(document):
    """Every number that the room hands to HTTPException, the 400 of a cut connection, and the 500 of a defect."""
    raised = set()
    for path in Path(fastsam_onnx.serve.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HTTPException":
                raised.add(node.args[0].value)
    assert raised | {400, 500} == set(REFUSALS) | {404}  # of the example
    assert set(map(int, document["paths"]["/segment"]["post"]["responses"])) == set(REFUSALS) - {401} | {200}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("json", "Objects"),
        ("coco", "CocoResults"),
        ("labelme", "Labelme"),
        ("sam", "SamRecords"),
        ("geojson", "GeoJson"),
    ],
)
def test_answers_are_as_described(client, check, form, name):
    reply = client.segment(PHOTO, f"?format={form}")
    assert reply.status == 200
    check(reply.json, name)
    prompts = json.dumps({"points": [300, 200], "texts": ["1"]})
    check(client.form(("photo", PHOTO), ("prompts", prompts), ("format", form)).json, name)
    nothing = cv2.imencode(".png", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    prompts = json.dumps({"points": [9, 9], "pick": "all"})
    check(client.form(("photo", nothing), ("prompts", prompts), ("format", form)).json, name)


def test_results_that_are_converted_are_as_described(check):
    """Also of a video, with classes, of a text and of a GeoTIFF, though a photo alone has not all of them."""
    found = replace(
        random_instances(3, count=5),
        labels=np.zeros(5, np.int64),
        names={0: "cup"},
        track_ids=np.arange(1, 6),
        similarity=np.linspace(-1, 1, 5, dtype=np.float32),
        georeference=Georeference((0.5, 0.0, 4.0, 0.0, -0.5, 5.0), "EPSG:32633"),
    )
    for some in (found, found[[]]):
        assert len(from_dict(some.to_dict())) == len(some)
        check(json.loads(some.to_json()), "Objects")


def test_facts_and_refusals_are_as_described(client, check):
    check(client.ask("GET", "/info").json, "Info")
    check(client.ask("GET", "/healthz").json, "Health")
    check(client.segment(b"").json, "Error")
    check(client.ask("GET", "/nowhere").json, "Error")


MASK = {"size": [4, 4], "counts": "04<"}
"""Run lengths of a mask: the first column of four."""
TAKEN = [
    {},
    {"points": None, "boxes": None, "texts": None},
    {"points": [1, 2.5], "labels": 1},
    {"points": [[1, 2], [3, 4]], "labels": [1, 0], "pick": "all"},
    {"points": [[[1, 2]], [[3, 4]]], "labels": [[1], [1]]},
    {"boxes": [1, 2, 3, 4], "match": "box"},
    {"boxes": [[1, 2, 3, 4]], "texts": "a cup", "top_k": None, "threshold": -0.5},
    {"classes": ["dog", 3], "classify": ["cup", "dog"], "other": "thing", "threshold": 0.2},
    {"classes": "dog", "classify": None, "texts": ["a"], "threshold": None},
    {"points": [1, 2], "similar": -1},
    {"boxes": [[1, 2, 3, 4]], "box_points": [[1, 2]], "box_labels": [0]},
    {"masks": MASK, "mask_points": [1, 2], "mask_labels": 1},
    {"boxes": [1, 2, 3, 4], "box_points": [], "box_labels": []},
    {"masks": MASK, "mask_points": []},
    {"masks": [{"size": [4, 4], "counts": [0, 4, 12], "area": 4}]},  # as COCO's files have crowds
    {"masks": {"size": [4, 4], "polygons": [[0, 0, 3.5, 0, 3.5, 4]]}},
    {
        "masks": [
            {"size": [4, 4], "polygons": [[[0, 0], [4, 0], [4, 4]], {"exterior": [0, 0, 4, 0, 4, 4], "holes": []}]}
        ]
    },
    [{"type": "point", "data": [1, 2]}, {"type": "rectangle", "data": [1, 2, 3, 4], "label": 7}],
]
REFUSED = [
    7,
    [],
    {"point": [1, 2]},
    {"labels": [1]},
    {"points": None, "labels": [1]},
    {"points": [1]},
    {"points": []},
    {"points": [1, 2], "labels": [2]},
    {"points": [1, 2], "pick": "tallest"},
    {"boxes": [1, 2, 3]},
    {"texts": ["a", " "]},
    {"texts": "a", "top_k": 0},
    {"texts": "a", "threshold": 2},
    {"threshold": 0.2},
    {"other": "thing"},
    {"classify": [""]},
    {"classes": [1.5]},
    {"classes": []},
    {"points": [1, 2], "similar": -1.5},
    {"points": [1, 2], "similar": 1.5},
    {"boxes": [1, 2, 3, 4, 5]},
    {"boxes": [1, 2, 3, 4], "box_points": [[1, 2, 3]]},
    {"boxes": [1, 2, 3, 4], "box_points": [[1, 2]], "box_labels": [2]},
    {"boxes": [1, 2, 3, 4], "box_labels": [1]},
    {"masks": {"size": [4], "counts": "04<"}},
    {"masks": {"size": [4, -4], "counts": "04<"}},
    {"masks": {"size": [4, 4], "counts": [0, 4.5, 11.5]}},
    {"masks": {"size": [4, 4], "polygons": [[0, 0, 4, 4]]}},
    {"masks": {"size": [4, 4], "polygons": [[[0, 0], [4, 0], [4]]]}},
    {"masks": {"size": [4, 4], "polygons": [{"holes": []}]}},
    {"masks": {"polygons": [[0, 0, 4, 0, 4, 4]]}},
    {"masks": MASK, "mask_labels": [1]},
    [{"type": "rectangle", "data": [1, 2, 3]}],
    [{"type": "circle"}],
    [{"type": "point", "data": [1]}],
    [{"type": "point", "data": [1, 2], "label": 2}],
]


@pytest.mark.parametrize("prompts", TAKEN)
def test_prompts_that_are_taken_are_described(check, prompts):
    Prompts.from_value(prompts).check()
    check(prompts, "Prompts")


@pytest.mark.parametrize("prompts", REFUSED)
def test_prompts_that_are_refused_are_not(check, prompts):
    from jsonschema import ValidationError

    with pytest.raises(ValueError, match=r"\w"):
        Prompts.from_value(prompts).check()
    with pytest.raises(ValidationError):
        check(prompts, "Prompts")
