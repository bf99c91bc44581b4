"""The server: answers equal the Python API's, refusals have a status and a reason, nothing else is opened."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import toy_clip
from support.tiny_onnx import tiny

from fastsam_onnx import FastSAM, OptionError, Prompts
from fastsam_onnx.cli.program import main
from fastsam_onnx.cli.serve import _token, plan_workers
from fastsam_onnx.formats import FORMATS, encode, to_cutouts, to_masks

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from support.server import BOUNDARY, PHOTO, Client, Reader, Slow, form_body, running, to_the_end

from fastsam_onnx.serve.hosting import ENDING
from fastsam_onnx.serve.received import Limits
from fastsam_onnx.serve.service import Service

ROOT = Path(__file__).parents[2]
FORM_HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
FORM = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}


def test_a_raw_photo_gives_the_json_of_the_python_api(client, found):
    reply = client.segment(PHOTO, Content_Type="image/jpeg")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.body == encode(found, "json")
    assert len(found) > 5


def test_a_form_gives_the_same_with_the_name_of_the_file(client, found):
    reply = client.form(("photo", PHOTO))
    assert reply.body == encode(replace(found, source="x"), "json")
    assert reply.json["source"] == "x"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("coffee.jpg", "coffee.jpg"),
        ("C:\\photos\\coffee.jpg", "coffee.jpg"),
        ("../../etc/passwd", "passwd"),
        ("caf\u00e9 \u2615.jpg", "caf\u00e9 \u2615.jpg"),
        ("a\x1bb.jpg", "ab.jpg"),
        ("..", ".."),
        ("", None),
        ("folder/", None),
        ("x" * 1000, "x" * 255),
    ],
)
def test_source_is_the_last_part_of_the_uploaded_files_name(client, sent, name):
    body = form_body(("photo", PHOTO)).replace(b'filename="x"', f'filename="{sent}"'.encode())
    reply = client.segment(body, "?max_det=1", **FORM)
    assert (reply.status, reply.json["source"]) == (200, name)


@pytest.mark.parametrize(
    ("accept", "form", "suffix"),
    [
        ("application/json", "json", ".json"),
        ("text/html, */*;q=0.1", "json", ".json"),
        ("application/json;format=coco", "coco", ".json"),
        ("image/png", "overlay", ".png"),
        ("image/png;format=labels", "labels", ".png"),
        ("image/jpeg, application/json;q=0.5", "overlay", ".jpg"),
        ("image/svg+xml", "svg", ".svg"),
        ("application/geo+json", "geojson", ".geojson"),
    ],
)
def test_accept_chooses_the_form_of_the_answer(client, found, accept, form, suffix):
    reply = client.segment(PHOTO, Accept=accept)
    assert reply.status == 200
    assert reply.body == encode(found, form, suffix=suffix)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Accept: text/html", "Accept: application/json"), 200),
        (("Accept: application/json", "Accept: text/html"), 200),
        (("Accept: text/html", "Accept: text/plain"), 406),
        (("Content-Encoding: identity", "Content-Encoding: gzip"), 415),
    ],
)
def test_a_list_may_come_in_several_lines(client, lines, status):
    """Only the first of them counted."""
    head = ("POST /segment HTTP/1.1", "Host: x", f"Content-Length: {len(PHOTO)}", "Connection: close", *lines)
    with client.connect() as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + PHOTO)
        assert to_the_end(line).split()[1] == str(status).encode()


def test_the_query_chooses_the_form_of_the_answer(client, found):
    assert client.segment(PHOTO, "?format=labels").body == encode(found, "labels")


@pytest.mark.parametrize(
    ("form", "headers", "kind"),
    [
        ("coco", {}, "application/json"),
        ("overlay", {}, "image/png"),
        ("overlay", {"Accept": "image/jpeg, */*;q=0.1"}, "image/jpeg"),
        ("geojson", {"Accept": "*/*"}, "application/geo+json"),
    ],
)
def test_a_field_of_the_form_chooses_the_form_of_the_answer(client, found, form, headers, kind):
    reply = client.form(("photo", PHOTO), ("format", form), **headers)
    assert (reply.status, reply.headers["content-type"]) == (200, kind)
    suffix = {"image/jpeg": ".jpg", "image/png": ".png"}.get(kind)
    assert reply.body == encode(replace(found, source="x"), form, suffix=suffix)


def test_a_mark_before_the_text_of_a_field_says_nothing(client):
    """Editors of Windows write one, and curl sends the file as it is."""
    prompts = b'\xef\xbb\xbf{"points": [[300, 200]]}'
    assert (
        client.form(("photo", PHOTO), ("prompts", prompts)).json["objects"]
        == (client.form(("photo", PHOTO), ("prompts", prompts[3:])).json["objects"])
    )


def test_an_overlay_shows_the_prompts_as_that_of_the_command_line_does(client, found):
    asked = {"points": [[300, 150], [20, 20]], "labels": [1, 0], "boxes": [[100, 80, 420, 330]]}
    reply = client.form(("photo", PHOTO), ("prompts", json.dumps(asked)), ("format", "overlay"))
    chosen = replace(found.prompt(Prompts(**asked)), source="x")
    shown = {"points": asked["points"], "point_labels": asked["labels"], "boxes": asked["boxes"]}
    assert reply.body == encode(chosen, "overlay", **shown)
    assert reply.body != encode(chosen, "overlay")


def test_cut_outs_come_as_a_zip_archive(client, found):
    prompts = json.dumps({"boxes": [[100, 80, 420, 330], [320, 230, 410, 332]]})
    reply = client.form(("photo", PHOTO), ("prompts", prompts), ("format", "cutouts"))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/zip")
    expected = dict(to_cutouts(found.box_prompt([[100, 80, 420, 330], [320, 230, 410, 332]])))
    with zipfile.ZipFile(io.BytesIO(reply.body)) as files:
        assert files.testzip() is None
        assert files.namelist() == list(expected)
        assert {one.date_time for one in files.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # the same bytes tomorrow
        for name, cutout in expected.items():
            picture = cv2.imdecode(np.frombuffer(files.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(picture, cutout[..., [2, 1, 0, 3]])
    assert client.segment(PHOTO, Accept="application/zip").headers["content-type"] == "application/zip"
    nothing = client.form(("photo", PHOTO), ("prompts", '{"points": [-5, -5]}'), ("format", "cutouts"))
    with zipfile.ZipFile(io.BytesIO(nothing.body)) as files:
        assert files.namelist() == []


def test_pages_of_other_origins_may_use_the_server_where_it_says_so(model):
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with running(Service(model, workers=1, token="t", origins=["https://a.example"]).app) as client:
        allowed = client.ask("OPTIONS", "/segment", headers={"Origin": "https://a.example", **ask})
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://a.example")
        for headers in ({"Authorization": "Bearer t"}, {}):  # a refusal can be read, too
            reply = client.segment(PHOTO, Origin="https://a.example", **headers)
            assert reply.status == (200 if headers else 401)
            assert reply.headers["access-control-allow-origin"] == "https://a.example"
        private = {"Origin": "https://a.example", "Access-Control-Request-Private-Network": "true", **ask}
        assert client.ask("OPTIONS", "/segment", headers=private).status == 200  # the usual one is this computer
        other = client.ask("OPTIONS", "/segment", headers={"Origin": "https://b.example", **ask})
        assert "access-control-allow-origin" not in other.headers
    with pytest.raises(OptionError, match=r"example\.org, got 'a\.example'"):
        Service(model, workers=1, origins=["a.example"])


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_workers_are_an_integer_of_at_least_1(model, workers):
    with pytest.raises(OptionError, match="workers must be an integer >= 1, got"):
        Service(model, workers=workers)


def test_pages_of_other_origins_may_not_use_the_server_otherwise(client):
    reply = client.segment(PHOTO, Origin="https://a.example")
    assert "access-control-allow-origin" not in reply.headers


def test_a_format_that_is_not_known_or_does_not_fit_is_refused(client):
    unknown = client.form(("photo", PHOTO), ("format", "nonsense"))
    assert unknown.status == 422
    assert all(name in unknown.json["error"] for name in (*FORMATS, "nonsense"))
    assert client.form(("photo", PHOTO), ("format", "coco"), Accept="image/png").status == 406
    twice = client.ask("POST", "/segment?format=json", form_body(("photo", PHOTO), ("format", "coco")), FORM_HEADERS)
    assert (twice.status, "2 times" in twice.json["error"]) == (422, True)


def test_prompts_and_options_mean_what_they_mean_in_python(client, model):
    points, labels, boxes = [[300, 200], [50, 50]], [1, 0], [[100, 80, 420, 330], [0, 0, 90, 90]]
    prompts = json.dumps({"points": points, "labels": labels, "pick": "largest", "boxes": boxes, "match": "box"})
    reply = client.form(("photo", PHOTO), ("prompts", prompts), ("conf", "0.02"), ("imgsz", "320"), ("max_det", "50"))
    found = model(PHOTO, conf=0.02, imgsz=320, max_det=50)
    at_points = found.point_prompt(points, labels, pick="largest")
    in_boxes = found.box_prompt(boxes, match="box")
    expected = [mask.rle() for mask in (*at_points.masks, *in_boxes.masks)]
    assert [one["rle"] for one in reply.json["objects"]] == expected
    assert [one["prompt_index"] for one in reply.json["objects"]] == [0] * len(at_points) + [
        1 + index for index in in_boxes.prompt_index
    ]
    assert len(at_points) == 1
    assert len(in_boxes) >= 1


def swapped_and_dark() -> tuple[np.ndarray, bytes]:
    """A picture, and the same as a TIFF of 12 bits in 16 with its bands the other way round."""
    picture = cv2.imdecode(np.frombuffer(PHOTO, np.uint8), cv2.IMREAD_COLOR)[::4, ::4]
    done, tiff = cv2.imencode(".tiff", picture.astype(np.uint16) * 16)  # in the file red, green, blue
    assert done
    return picture, bytes(tiff)


def test_bands_and_white_are_those_of_python(client, model):
    picture, tiff = swapped_and_dark()
    expected = [mask.rle() for mask in model(picture).masks]  # as if it were RGB
    assert len(expected) > 1
    asked = "?bands=3,2,1&white=4080"
    for reply in (
        client.segment(tiff, asked, Content_Type="image/tiff"),
        client.form(("photo", tiff), ("bands", "3,2,1"), ("white", "4080")),
    ):
        assert [one["rle"] for one in reply.json["objects"]] == expected
    assert [one["rle"] for one in client.segment(tiff, "?white=4080").json["objects"]] != expected


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("bands=0,1,2", "a number of bands must be an integer >= 1, got 0"),
        ("bands=1,2", "three bands as in 3,2,1"),
        ("bands=1,2,9", "from 1 to 3, got 9"),
        ("white=0", "white must be a number >= 1e-30, got 0"),
        ("white=bright", "white must be a number"),
    ],
)
def test_bands_and_white_that_mean_nothing_are_refused(client, field, reason):
    reply = client.segment(swapped_and_dark()[1], f"?{field}")
    assert (reply.status, reply.json["error"]) == (422, reply.json["error"])
    assert reason in reply.json["error"]
    assert client.segment(PHOTO, "?bands=3,2,1").status == 422  # a JPEG has none to choose


@pytest.mark.parametrize("form", ["labelme", "yolo", "svg", "geojson"])
def test_tolerance_is_that_of_python(client, model, form):
    found = model(PHOTO)
    expected = encode(found, form, tolerance=2.5)
    assert expected != encode(found, form)
    assert client.segment(PHOTO, f"?format={form}&tolerance=2.5").body == expected
    if form != "labelme":  # which says the name of the photo, that of the form's field
        assert client.form(("photo", PHOTO), ("format", form), ("tolerance", "2.5")).body == expected


@pytest.mark.parametrize(("soft", "whole"), [(True, True), (True, False), (False, True)])
def test_soft_and_whole_cutouts_are_those_of_python(client, model, soft, whole):
    asked = f"?format=cutouts&soft={str(soft).lower()}&whole={str(whole).lower()}"
    reply = client.segment(PHOTO, asked)
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        pictures = {name: cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), -1) for name in archive.namelist()}
    expected = dict(to_cutouts(model(PHOTO), soft=soft, whole=whole))
    assert pictures.keys() == expected.keys()
    for name, picture in pictures.items():
        np.testing.assert_array_equal(picture[..., [2, 1, 0, 3]], expected[name])


def test_masks_are_those_of_python(client, model):
    reply = client.segment(PHOTO, "?format=masks&grow=3")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        pictures = {name: cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), -1) for name in archive.namelist()}
    expected = dict(to_masks(model(PHOTO), grow=3))
    assert list(pictures) == list(expected)
    for name, picture in pictures.items():
        np.testing.assert_array_equal(picture, expected[name])


def test_whole_cutouts_of_too_many_pixels_together_are_refused(model):
    """13 objects in 600 x 400 pixels are 3,120,000, 8 fewer than two million. One request would take minutes."""
    with running(Service(model, workers=1, limits=Limits(pixels=1_000_000)).app) as client:
        reply = client.segment(PHOTO, "?format=cutouts&whole=true")
        assert reply.status == 422
        assert (
            "cutouts of the photo's size must have at most 2000000 pixels together, and 13 objects in 600 x 400 pixels "
            "have more; ask for fewer objects by prompts or max_det, or leave out whole" in reply.json["error"]
        )
        assert client.segment(PHOTO, "?format=cutouts&whole=true&max_det=8").status == 200
        assert client.segment(PHOTO, "?format=cutouts").status == 200
        reply = client.segment(PHOTO, "?format=masks")
        assert (reply.status, reply.json["error"].endswith("fewer objects by prompts or max_det")) == (422, True)
        assert client.segment(PHOTO, "?format=masks&max_det=8").status == 200


@pytest.mark.parametrize(("form", "called"), [("psd", "the layers of a psd"), ("cutouts", "cutouts")])
def test_layers_and_cutouts_of_too_many_pixels_together_are_refused(model, form, called):
    """Each has the photo's pixels in its object's box: of thousands of large objects they would fill the memory."""
    pixels = sum(mask.crop.size for mask in model(PHOTO).masks)
    with running(Service(model, workers=1, limits=Limits(pixels=pixels // 2 - 1)).app) as client:
        reply = client.segment(PHOTO, f"?format={form}")
        assert reply.status == 422
        assert reply.json["error"].startswith(f"{called} must have at most {pixels // 2 * 2 - 2} pixels together")
        assert f"13 objects have {pixels}; ask for fewer objects by prompts or max_det" in reply.json["error"]
        assert client.segment(PHOTO, f"?format={form}&max_det=8").status == 200


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("soft=true", "soft is for cut-outs and layers (cutout, cutouts, psd), and json has none"),
        ("format=cutouts&soft=1", "soft must be true or false, got '1'"),
        ("tolerance=1", "tolerance is for outlines (labelme, yolo, svg, geojson), and json has none"),
        ("format=cutouts&tolerance=1", "and cutouts has none"),
        ("format=svg&tolerance=-1", "tolerance must be a number >= 0, got -1"),
        ("format=svg&tolerance=much", "tolerance must be a number >= 0, got 'much'"),
    ],
)
def test_a_tolerance_that_means_nothing_is_refused(client, asked, reason):
    reply = client.segment(PHOTO, f"?{asked}")
    assert reply.status == 422
    assert reason in reply.json["error"]


@pytest.mark.parametrize("wanted", [True, False])
def test_refine_is_that_of_python(client, model, wanted):
    expected = [mask.rle() for mask in model(PHOTO, refine=wanted).masks]
    assert expected != [mask.rle() for mask in model(PHOTO, refine=not wanted).masks]
    text = str(wanted).lower()
    for reply in (client.form(("photo", PHOTO), ("refine", text)), client.segment(PHOTO, f"?refine={text}")):
        assert [one["rle"] for one in reply.json["objects"]] == expected
    assert client.ask("GET", "/info").json["defaults"]["refine"] is model.options["refine"]


def test_redraw_is_that_of_python(client, model, options_used):
    for text in ("true", "false"):
        assert client.form(("photo", PHOTO), ("redraw", text)).status == 200
        assert client.segment(PHOTO, f"?redraw={text}").status == 200
    assert client.segment(PHOTO).status == 200
    assert [each.redraw for each in options_used] == [True, True, False, False, model.options["redraw"]]
    assert client.ask("GET", "/info").json["defaults"]["redraw"] is model.options["redraw"]


def test_objects_that_nobody_sees_are_not_drawn_anew(client, options_used):
    """But if the request says so, or where prompts choose among them."""
    for prompts, more, expected in (
        ({"points": [[5, 5]]}, (), False),
        ({"points": [[5, 5]]}, (("redraw", "true"),), True),
        ({"points": [[5, 5]], "pick": "all"}, (("redraw", "true"),), True),
    ):
        client.form(("photo", PHOTO), ("prompts", json.dumps(prompts)), *more)
        assert options_used[-1].redraw is expected


@pytest.mark.parametrize("text", ["", "True", "1", "yes"])
@pytest.mark.parametrize("option", ["refine", "redraw"])
def test_refine_and_redraw_are_true_or_false(client, option, text):
    reply = client.form(("photo", PHOTO), (option, text))
    assert (reply.status, f"{option} must be true or false" in reply.json["error"]) == (422, True)


def test_a_raw_photo_takes_prompts_in_the_query(client, found):
    reply = client.segment(PHOTO, "?prompts=%7B%22points%22%3A%5B%5B300%2C200%5D%5D%7D")
    assert [one["rle"] for one in reply.json["objects"]] == [
        mask.rle() for mask in found.point_prompt([(300, 200)]).masks
    ]


def test_texts_are_asked_of_a_model_that_has_clip(model, found):
    with running(Service(Reader(model), workers=1).app) as client:
        assert client.ask("GET", "/info").json["text"] is True
        prompts = json.dumps({"points": [300, 200], "texts": ["3", "1"], "top_k": 2})
        reply = client.form(("photo", PHOTO), ("prompts", prompts))
        _, *others = reply.json["objects"]
        assert [one["rle"] for one in others] == [found[3].mask.rle(), found[1].mask.rle()]
        assert [one["prompt_index"] for one in reply.json["objects"]] == [0, 1, 2]


def test_info_tells_the_limits_and_health_is_quick(client):
    facts = client.ask("GET", "/info").json
    assert facts["text"] is False
    assert facts["file"] == "fastsam-nano.onnx"
    assert facts["workers"] == 2
    assert facts["limits"]["body_bytes"] == Limits().body_bytes
    assert client.ask("GET", "/healthz").json == {"status": "ok", "waiting": 0}


def test_the_page_may_run_its_own_script_alone(client):
    reply = client.ask("GET", "/")
    assert reply.headers["content-type"].startswith("text/html")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'sha256-" in policy
    page = reply.body.decode()
    assert page == (ROOT / "fastsam_onnx" / "serve" / "page.html").read_text("utf-8")
    assert not re.search(r"""(?:src|href|url|import)\s*[=(]\s*["']?(?:https?:)?//""", page)


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        ((b"", "", {}), 422, "empty"),
        ((b"no picture", "", {}), 422, "the photo cannot be read"),
        ((PHOTO[:5000], "", {}), 422, "cut short"),
        ((b"/etc/hostname", "", {}), 422, "the photo cannot be read"),
        ((b"http://localhost/photo.jpg", "", {}), 422, "the photo cannot be read"),
        (
            (b"photo=1", "", {"Content_Type": "application/x-www-form-urlencoded"}),
            415,
            "got Content-Type 'application/x-www-form-",
        ),
        ((PHOTO, "", {"Accept": "text/plain"}), 406, "application/json"),
        ((PHOTO, "", {"Accept": ", ".join(["image/png"] * 1000)}), 431, "at most 4096 characters, got 10998"),
        ((PHOTO, "?format=exe", {}), 422, "format must be one of json"),
        ((PHOTO, "?format=supervision", {}), 422, "format must be one of json"),
        (
            (PHOTO, "?path=/etc/passwd", {}),
            422,
            "must be among prompts, format, min_area, parts, disjoint, tolerance, soft, whole, grow",
        ),
        ((PHOTO, "?conf=2", {}), 422, "conf"),
        ((PHOTO, "?conf=0.1&conf=0.2", {}), 422, "2 times"),
        ((PHOTO, "?imgsz=99999", {}), 422, "must be at most"),
        ((PHOTO, "?max_det=99999", {}), 422, "must be at most"),
        ((PHOTO, "", {"Content_Type": "multipart/form-data"}), 400, "multipart form"),
        ((b"--x\r\n\r\n", "", {"Content_Type": "multipart/form-data; boundary=x"}), 400, "multipart form"),
        ((form_body(("photo", PHOTO))[:-9], "", FORM), 400, "cut short"),
        (
            (form_body(("photo", PHOTO), ("image", PHOTO)), "", FORM),
            422,
            "must be among prompts, format, min_area, parts, disjoint",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(client, request_, status, reason):
    body, query, headers = request_
    reply = client.segment(body, query, **headers)
    assert reply.status == status
    assert reason in reply.json["error"]
    assert "Traceback" not in reply.body.decode()


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("7", "object or a list"),
        ("[7]", "entry 0"),
        ('{"url": "http://localhost"}', "among points, labels, boxes"),
        ('{"points": "middle"}', "points"),
        ('{"points": [[1, 2, 3]]}', "points must have shape"),
        ('{"points": [[NaN, 1]]}', "finite"),
        ('{"points": [[1, 1]], "labels": [7]}', "label"),
        ('{"points": [[1, 1], [2, 2]], "labels": [1]}', "one label for every point"),
        ('{"points": [[1, 1]], "labels": [0]}', "background points alone"),
        ('{"points": [[1, 1]], "pick": "worst"}', "pick"),
        ('{"points": [[1, 1]], "pick": []}', "pick"),
        ('{"labels": [1]}', "without points"),
        ('{"points": [[1, 1]], "points": [[2, 2]]}', "'points' is there twice"),
        ('{"boxes": [[9, 9, 1, 1]]}', "corners"),
        ('{"texts": ["a dog"]}', "no CLIP"),
        (json.dumps({"points": [[1, 1]] * 201}), "201"),
        (json.dumps({"points": ["x" * 5000]}), "points must be numbers"),
    ],
)
def test_prompts_that_mean_nothing_are_refused(client, prompts, reason):
    reply = client.form(("photo", PHOTO), ("prompts", prompts))
    assert reply.status == 422
    assert reason in reply.json["error"]
    assert len(reply.body) < 1000


def test_forms_of_many_parts_or_without_names_are_refused(client):
    many = client.form(*[("conf", "0.1")] * 40)
    assert (many.status, "more than" in many.json["error"]) == (400, True)
    nameless = form_body(("photo", PHOTO)).replace(b'; name="photo"', b"")
    reply = client.segment(nameless, **FORM)
    assert (reply.status, "name" in reply.json["error"]) == (400, True)
    assert client.form(("photo", PHOTO), ("photo", PHOTO)).status == 422
    assert client.form(("photo", PHOTO), ("prompts", b"\xff")).status == 422


def test_other_addresses_and_methods(client):
    assert client.ask("GET", "/segment").status == 405
    assert client.ask("GET", "/../../etc/passwd").status == 404
    assert client.ask("POST", "/healthz").status == 405


def test_a_slash_at_the_end_is_refused_with_a_reason(client):
    """A redirect has no text, and names http:// also where the client came by TLS through a proxy."""
    refused = client.ask("POST", "/segment/", PHOTO)
    assert (refused.status, "location" in refused.headers) == (404, False)
    assert refused.json["error"].startswith("there is no '/segment/' here; there are /, ")


def test_other_addresses_and_methods_are_told_what_there_is(client):
    wrong = client.ask("PUT", "/segment")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json["error"] == "/segment takes POST, got PUT"
    assert client.ask("POST", "/info").json["error"] == "/info takes GET, HEAD, got POST"
    missing = client.ask("POST", "/segment/photo.jpg", PHOTO)  # what curl -T makes of /segment/
    assert missing.status == 404
    there = "/, /convert, /example.jpg, /healthz, /info, /openapi.json, /segment"
    assert missing.json["error"] == f"there is no '/segment/photo.jpg' here; there are {there}"


def test_a_form_without_its_boundary_in_the_header_is_told(client):
    reply = client.segment(form_body(("photo", PHOTO)), Content_Type="multipart/form-data")
    assert reply.status == 400
    assert "Content-Type must name the boundary of the multipart form" in reply.json["error"]


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
def test_a_body_that_says_it_is_encoded_is_refused(client, coding):
    """It was taken for the photo itself: read as it was, or called no picture."""
    reply = client.segment(PHOTO, Content_Encoding=coding)
    assert (reply.status, reply.headers["accept-encoding"]) == (415, "identity")
    assert reply.json["error"] == f"Content-Encoding must be identity, the photo as it is, got {coding!r}"
    assert client.segment(PHOTO, Content_Encoding="identity").status == 200


def test_large_requests_and_photos_are_refused(model):
    with running(Service(model, workers=1, limits=Limits(body_bytes=100_000, pixels=100_000)).app) as client:
        announced = client.segment(bytes(3_000_000))
        assert (announced.status, "100000 bytes, got 3000000" in announced.json["error"]) == (413, True)
        chunked = client.segment(iter([bytes(60_000)] * 40))
        assert (chunked.status, "100000 bytes, got more" in chunked.json["error"]) == (413, True)
        just_over = client.segment(iter([bytes(100_001)]))
        assert just_over.status == 413
        pixels = client.segment(PHOTO)
        assert (pixels.status, "600 x 400 pixels" in pixels.json["error"]) == (413, True)


def test_a_large_request_is_refused_before_it_is_sent(model):
    with running(Service(model, workers=1).app) as client, client.connect() as line:
        line.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_slow_senders_are_let_go(model):
    with running(Service(model, workers=1, limits=Limits(body_seconds=0.3)).app) as client, client.connect() as line:
        line.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        answer = to_the_end(line)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"did not arrive" in answer


def test_requests_together_hold_no_more_bytes_than_allowed(model):
    with running(Service(model, workers=1, limits=Limits(held_bytes=90_000)).app) as client:
        with client.connect() as line:
            line.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n" + bytes(20_000))
            time.sleep(0.2)
            reply = client.segment(PHOTO)
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        for _ in range(100):  # what a cut connection held is free again
            if client.segment(PHOTO).status == 200:
                return
            time.sleep(0.05)
        pytest.fail("the bytes of a cut connection are still counted")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"queue": "5"}, "queue must be an integer >= 0, got '5'"),
        ({"remembered": -1}, "remembered must be an integer >= 0, got -1"),
        ({"pixels": None}, "pixels must be an integer >= 1, got None"),
        ({"body_seconds": float("nan")}, "body_seconds must be a number >= 0, got nan"),
    ],
)
def test_what_can_be_no_limit_is_refused_before_requests_come(limit, message):
    with pytest.raises(OptionError, match=message):
        Limits(**limit)


@pytest.mark.parametrize("queue", [0, 2])
def test_requests_over_the_queue_get_503_and_the_others_their_answer(model, found, queue):
    """Without a queue a worker that is free takes a request all the same."""
    slow = Slow(model)
    service = Service(slow, workers=1, limits=Limits(queue=queue))
    with running(service.app) as client, ThreadPoolExecutor(3) as threads:
        replies = [threads.submit(client.segment, PHOTO)]
        assert slow.begun.acquire(timeout=10)
        replies += [threads.submit(client.segment, PHOTO) for _ in range(queue)]
        while client.ask("GET", "/healthz").json["waiting"] < queue:
            time.sleep(0.01)
        refused = client.segment(PHOTO)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "wait already" in refused.json["error"]
        slow.go.set()
        assert [reply.result().body for reply in replies] == [encode(found, "json")] * (1 + queue)


def test_a_cut_connection_costs_no_photo(model):
    slow = Slow(model)
    with running(Service(slow, workers=1).app) as client, ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.segment, PHOTO)
        assert slow.begun.acquire(timeout=10)
        head = f"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PHOTO)}\r\n\r\n".encode()
        with client.connect() as line:
            line.sendall(head + PHOTO)
            while not client.ask("GET", "/healthz").json["waiting"]:
                time.sleep(0.01)
        time.sleep(0.1)
        slow.go.set()
        assert first.result().status == 200
        assert client.segment(PHOTO).status == 200
        assert slow.calls == 2


def test_a_defect_is_a_500_that_tells_nothing(model, caplog):
    class Broken(Slow):
        def __call__(self, *arguments, **options):
            raise RuntimeError("secret")

    with running(Service(Broken(model), workers=1).app) as client:
        reply = client.segment(PHOTO)
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "secret" in caplog.text


def test_a_token_is_asked_for(model):
    with running(Service(model, workers=1, token="open sesame").app) as client:
        wrong = ("Bearer open", "Bearer ÿ", "Bearer", "open", "open sesame", "Basic open sesame")
        for headers in ({}, *({"Authorization": given} for given in wrong)):
            reply = client.segment(PHOTO, **headers)
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
        assert client.ask("GET", "/info").status == 401
        for scheme in ("Bearer", "bearer", "BEARER"):  # RFC 9110, 11.1: without regard to case
            assert client.segment(PHOTO, Authorization=f"{scheme} open sesame").status == 200
        assert client.ask("GET", "/healthz").status == 200
        assert client.ask("GET", "/").status == 200


def test_hostile_files_get_their_outcome(shared, tmp_path):
    folder = shared / "data" / "hostile_images"
    listed = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    old = tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 12)  # lacks decoders, and says so
    with FastSAM(tiny(), imgsz=160) as tiny_model, running(Service(tiny_model, workers=2).app) as client:
        for entry in listed:
            path = folder / entry["file"]
            if not path.is_file():  # odd names, in a zip: names are not sent
                continue
            reply = client.segment(path.read_bytes(), "?max_det=2")
            assert reply.status in (200, 413, 422), entry
            if entry["expected"] == "error":
                assert reply.status != 200, entry
                assert reply.json["error"]
            elif entry["expected"] == "decodes" and not (old and b"4.12" in reply.body):
                assert reply.status == 200, entry
                assert [reply.json["width"], reply.json["height"]] == entry["size"], entry


def test_workers_and_threads_fill_the_cores():
    assert plan_workers(1, None, None) == (1, 1)
    assert plan_workers(2, None, None) == (2, 1)
    assert plan_workers(16, None, None) == (4, 13)  # 4 callers and 12 helpers
    assert plan_workers(8, 8, None) == (8, 1)
    assert plan_workers(2, 5, None) == (5, 1)
    assert plan_workers(8, 2, 4) == (2, 4)


def test_extra_and_dependency_group_are_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["optional-dependencies"]["serve"] == project["dependency-groups"]["serve"]


@pytest.mark.parametrize(("more", "said"), [([], ["listening", "stopped"]), (["--quiet"], [])])
def test_quiet_says_neither_that_it_listens_nor_that_it_stopped(more, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fastsam_onnx.serve.hosting.host", lambda *_, **__: None)
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny())
    assert main(["serve", "--port", "0", "--model", str(model), *more]) == 0
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to stop a process cleanly")
@pytest.mark.parametrize("stop", ENDING)
def test_the_command_listens_on_localhost_and_stops_cleanly(tmp_path, stop):
    if signal.getsignal(stop) == signal.SIG_IGN:
        pytest.skip("tests run by nohup, so that the server ignores it, too")
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny())
    command = [sys.executable, "-m", "fastsam_onnx", "serve", "--port", "0", "--model", str(model), "--access-log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        line = process.stderr.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert match, line + process.stderr.read()
        assert Client(int(match[1])).segment(PHOTO).status == 200
        process.send_signal(stop)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped" in err
    assert "Traceback" not in err
    assert '"POST /segment HTTP/1.1" 200' in out


def test_the_command_says_what_is_wrong(tmp_path, capsys, client, monkeypatch):
    assert main(["serve", "--port", str(client.port)]) == 2
    assert "cannot listen at 127.0.0.1" in capsys.readouterr().err
    words = toy_clip.write(tmp_path / "words")
    (words / "vision_model.onnx").write_bytes(b"junk")
    for processes in "12":
        assert main(["serve", "--port", "0", "--clip", str(words), "--processes", processes]) == 2
        assert "vision_model.onnx" in capsys.readouterr().err
    assert main(["serve", "--token-file", str(tmp_path / "none")]) == 2
    assert "cannot read the token" in capsys.readouterr().err
    (tmp_path / "empty").write_text("\n")
    assert main(["serve", "--token-file", str(tmp_path / "empty")]) == 2
    assert "printable ASCII" in capsys.readouterr().err
    for token in ("two\nlines", "geheimnis\u00fcvoll", " "):
        monkeypatch.setenv("FASTSAM_ONNX_TOKEN", token)
        assert main(["serve", "--model", "none.onnx"]) == 2
        assert "the token in FASTSAM_ONNX_TOKEN must be one line of printable ASCII" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"secret", b"secret\r\n", b"\xef\xbb\xbfsecret\r\n"])
def test_the_token_of_a_file_is_its_line(tmp_path, content, monkeypatch):
    """Editors on Windows put a byte order mark before it; that was part of the token, and refused."""
    monkeypatch.setenv("FASTSAM_ONNX_TOKEN", "other")
    (tmp_path / "token").write_bytes(content)
    assert _token(tmp_path / "token") == "secret"
    assert _token(None) == "other"


def test_without_the_extra_the_command_says_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "fastsam_onnx.serve.hosting", raising=False)  # as in a new process
    assert main(["serve"]) == 2
    assert "pip install 'fastsam-onnx[serve]'" in capsys.readouterr().err


def test_what_the_log_is_warned_of_is_told_to_the_client_who_sees_no_log(client):
    for prompts, told in (
        ('{"points": [[0.5, 0.4]]}', "points are pixels"),
        ('{"boxes": [[0, 0.1, 0.5, 1]]}', "boxes"),
    ):
        for accept in ("application/json", "image/png"):
            reply = client.form(("photo", PHOTO), ("prompts", prompts), Accept=accept)
            assert reply.status == 200
            assert reply.headers["warning"].startswith('299 - "')
            assert told in reply.headers["warning"]
    assert "warning" not in client.form(("photo", PHOTO), ("prompts", '{"points": [[300, 200]]}')).headers


def test_a_warning_goes_to_its_own_client(client):
    asked = ["0.5, 0.4", "300, 200"] * 8
    with ThreadPoolExecutor(4) as pool:
        replies = list(
            pool.map(lambda at: client.form(("photo", PHOTO), ("prompts", f'{{"points": [[{at}]]}}')), asked)
        )
    assert [("warning" in reply.headers) for reply in replies] == [True, False] * 8
