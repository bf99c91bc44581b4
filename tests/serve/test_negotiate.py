"""Accept is read as RFC 9110 says, and chooses among what can be sent."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from starlette.exceptions import HTTPException

from fastsam_onnx.formats import FORMATS
from fastsam_onnx.serve.negotiate import REPRESENTATIONS, negotiate


def test_the_help_names_every_answer():
    from fastsam_onnx.cli.serve import EPILOG

    paragraph = EPILOG.partition("selects the answer:")[2].partition("GET /info")[0]
    words = re.findall(r"[a-z/+.-]+", paragraph)
    assert [one for one in REPRESENTATIONS if not {one.media_type, one.format} <= set(words)] == []


@pytest.mark.parametrize(
    ("accept", "media_type", "form"),
    [
        ("", "application/json", "json"),
        ("*/*", "application/json", "json"),
        ("text/html, */*;q=0.1", "application/json", "json"),
        # The most specific range counts, and a quality of 0 refuses.
        ("*/*, application/json;q=0", "image/png", "overlay"),
        ("image/*;q=0.9, image/png;q=0.1", "image/jpeg", "overlay"),
        ("image/png;format=labels", "image/png", "labels"),
        ('image/png; format="labels"', "image/png", "labels"),
        ('text/plain; note="a, image/jpeg, b", image/png;format="labels";q="0.5"', "image/png", "labels"),
        ('image/png;format="lab\\els", */*;q=0.1', "application/json", "json"),
        ("IMAGE/PNG;FORMAT=labels", "image/png", "labels"),
        ("image/jpg", "image/jpeg", "overlay"),
        ("image/jpg;q=0.2, image/webp;q=0.3", "image/webp", "overlay"),
        ("application/json;charset=utf-8", "application/json", "json"),
        ("image/png;q=0.001", "image/png", "overlay"),
        # What Java's HttpURLConnection sends.
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "image/jpeg", "overlay"),
        ("text/html, */*; q=.2", "application/json", "json"),
        (",, image/webp ,", "image/webp", "overlay"),
        # Of what is liked equally well, what is named most precisely.
        ("*/*, image/webp", "image/webp", "overlay"),
        ("image/png, image/png;format=labels", "image/png", "labels"),
        ("image/png;q=0.5, image/png;format=overlay;q=0.2", "image/png", "labels"),
    ],
)
def test_accept_chooses(accept, media_type, form):
    chosen = negotiate(accept, None)
    assert (chosen.media_type, chosen.format) == (media_type, form)


def test_a_header_of_more_than_4096_characters_is_431():
    assert negotiate("image/png".ljust(4096), None).media_type == "image/png"
    with pytest.raises(HTTPException, match="at most 4096 characters, got 4097") as refusal:
        negotiate("image/png".ljust(4097), None)
    assert refusal.value.status_code == 431


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "image/png;q=0",
        "image/png;q=high",
        "image/png;q=nan",
        "image/png;q=2",
        "image/png;q=0.5555",
        "image/gif",
        "image/png;format=exe",
        "png",
    ],
)
def test_what_cannot_be_sent_is_406(accept):
    with pytest.raises(HTTPException, match=r"application/json.*format") as refusal:
        negotiate(accept, None)
    assert refusal.value.status_code == 406


def test_a_format_narrows_the_choice():
    assert negotiate("*/*", "labels").media_type == "image/png"
    assert negotiate("image/webp, image/jpeg;q=0.5", "overlay").media_type == "image/webp"
    for accept, form, status in (("image/png", "coco", 406), ("*/*", "exe", 422), ("*/*", "", 422)):
        with pytest.raises(HTTPException) as refusal:
            negotiate(accept, form)
        assert refusal.value.status_code == status


def test_what_can_be_sent_is_what_can_be_written():
    for one in REPRESENTATIONS:
        assert FORMATS[one.format].folder or any(suffix.endswith(one.suffix) for suffix in FORMATS[one.format].suffixes)
