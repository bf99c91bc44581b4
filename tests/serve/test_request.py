"""Prompts of a request, for a model that has CLIP."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from starlette.exceptions import HTTPException
from support.server import PHOTO

from fastsam_onnx.serve.form import Part
from fastsam_onnx.serve.received import Limits, _text, check_photo
from fastsam_onnx.serve.request import _option, read_prompts


@pytest.mark.parametrize("texts", ['""', "[]", "[1]", '[" "]', '{"a": 1}'])
def test_texts_that_say_nothing_are_refused(texts):
    with pytest.raises(HTTPException, match="text") as refusal:
        read_prompts(f'{{"texts": {texts}}}', Limits(), has_texts=True)
    assert refusal.value.status_code == 422


@pytest.mark.parametrize("options", ['"top_k": 0.5', '"top_k": true', '"threshold": "high"', '"threshold": 1.5'])
def test_options_of_texts_are_checked(options):
    with pytest.raises(HTTPException, match=r"top_k|threshold"):
        read_prompts(f'{{"texts": "a dog", {options}}}', Limits(), has_texts=True)


def test_texts_count_as_prompts():
    with pytest.raises(HTTPException, match="at most 3 points, boxes, masks and texts together, got 4"):
        read_prompts('{"texts": ["a", "b"], "points": [[1, 1], [2, 2]]}', Limits(prompts=3), has_texts=True)
    assert (
        read_prompts('{"texts": ["a", "b"], "points": [[1, 1], [2, 2]]}', Limits(prompts=4), has_texts=True).count == 4
    )


def test_limits_are_the_most_that_is_taken():
    """The photo has 600 x 400 pixels."""
    check_photo(PHOTO, Limits(pixels=240_000))
    with pytest.raises(HTTPException, match="at most 239999 pixels, got 600 x 400") as refusal:
        check_photo(PHOTO, Limits(pixels=239_999))
    assert refusal.value.status_code == 413
    assert len(_text(Part("prompts", b"x" * 2**20))) == 2**20
    with pytest.raises(HTTPException, match="'prompts' must have at most 1048576 bytes"):
        _text(Part("prompts", b"x" * (2**20 + 1)))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_det", "300", 300),
        ("max_det", "301", None),
        ("imgsz", "480", 480),
        ("imgsz", "640x480", (480, 640)),
        ("imgsz", "640", None),
        ("imgsz", "480x640", None),
        ("imgsz", "641x32", None),
        ("white", "0", None),
    ],
)
def test_options_ask_for_no_more_than_the_servers_own(name, text, value):
    """Its network takes inputs of 640 x 480."""
    model = SimpleNamespace(options={"max_det": 300, "imgsz": (480, 640)})
    if value is not None:
        assert _option(name, text, model) == value
        return
    with pytest.raises(HTTPException, match=f"{name} must be") as refusal:
        _option(name, text, model)
    assert refusal.value.status_code == 422


def test_masks_are_refused_before_they_are_unpacked():
    masks = '{"masks": {"size": [10000000, 10000000], "counts": [0, 100000000000000]}}'
    with pytest.raises(HTTPException, match="at most 50000000 pixels together, got 100000000000000"):
        read_prompts(masks, Limits(), has_texts=True)


def test_masks_together_must_not_be_larger_than_a_photo_may_be():
    """Each of the two has 30 x 20 pixels."""
    masks = '{"masks": [{"size": [20, 30], "counts": [0, 600]}, {"size": [20, 30], "counts": [300, 300]}]}'
    prompts = read_prompts(masks, Limits(pixels=1200), has_texts=False)
    assert [mask.area for mask in prompts.masks] == [600, 300]
    with pytest.raises(HTTPException, match="at most 1199 pixels together, got 1200"):
        read_prompts(masks, Limits(pixels=1199), has_texts=False)


@pytest.mark.parametrize("size", ['"large"', "[1]", "[-1, 5]", "[1.5, 5]", "null", "[true, 1]"])
def test_sizes_of_masks_are_checked(size):
    with pytest.raises(HTTPException, match="mask"):
        read_prompts(f'{{"masks": {{"size": {size}, "counts": [0, 5]}}}}', Limits(), has_texts=True)


def test_masks_may_be_rows_of_numbers_and_nothing_else_without_a_size():
    assert [mask.area for mask in read_prompts('{"masks": [[0, 1], [1, 1]]}', Limits(), has_texts=True).masks] == [3]
    for masks in ("7", '["a"]', "[null]"):
        with pytest.raises(HTTPException, match="a mask must be"):
            read_prompts(f'{{"masks": {masks}}}', Limits(), has_texts=True)


def test_similar_needs_clip():
    wanted = '{"points": [[1, 1]], "similar": 0.8}'
    assert read_prompts(wanted, Limits(), has_texts=True).similar == 0.8
    with pytest.raises(HTTPException, match=r"no CLIP model.*similar"):
        read_prompts(wanted, Limits(), has_texts=False)
