"""The halves of a CLIP: what is fed to a session, whatever its export looks like."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastsam_onnx.clip.encoders import ImageEncoder, TextEncoder
from fastsam_onnx.clip.files import _context_length
from fastsam_onnx.clip.tokens import DEFAULT_CONTEXT_LENGTH, ClipTokenizer
from fastsam_onnx.errors import ModelError

START, END = 98, 99


class Tokenizer(ClipTokenizer):
    """Every word is one id, the number of its letters."""

    def __init__(self, context_length: int | None = None) -> None:
        self._start, self._end = START, END
        self.context_length = context_length

    def encode(self, cleaned: str) -> list[int]:
        return [len(word) for word in cleaned.split()]


class Session:
    """A text encoder that keeps what it is fed."""

    def __init__(self, *, mask: bool = False, length: int | str = "length", takes: int | None = None) -> None:
        self.length, self.takes, self.mask, self.fed = length, takes, mask, []

    def get_inputs(self) -> list[SimpleNamespace]:
        names = ["input_ids", *(["attention_mask"] if self.mask else [])]
        return [SimpleNamespace(name=name, type="tensor(int64)", shape=["batch", self.length]) for name in names]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="text_embeds", type="tensor(float)", shape=["batch", 2])]

    def run(self, wanted: list[str], feed: dict[str, np.ndarray], options: object) -> list[np.ndarray]:
        ids = feed["input_ids"]
        if self.takes not in (None, ids.shape[1]):
            raise RuntimeError(f"got {ids.shape[1]} ids")
        self.fed.append({name: values.tolist() for name, values in feed.items()})
        return [np.stack([ids.sum(axis=1), np.zeros(len(ids))], axis=1).astype(np.float32)]


class Pictures:
    """An image encoder of pictures of 8 pixels that keeps how many it is fed."""

    def __init__(self, sides: tuple[Any, ...] = (3, 8, 8), output: tuple[Any, ...] = ("batch", 2)) -> None:
        self.sides, self.output, self.fed = sides, output, []

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="pixels", type="tensor(float)", shape=["batch", *self.sides])]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="image_embeds", type="tensor(float)", shape=[*self.output])]

    def run(self, wanted: list[str], feed: dict[str, np.ndarray], options: object) -> list[np.ndarray]:
        self.fed.append(len(feed["pixels"]))
        return [np.ones((len(feed["pixels"]), 2), np.float32)]


@pytest.mark.parametrize("output", [(), ("batch", 2), ("batch", "width")])
def test_the_width_of_vectors_is_known_whether_the_file_says_it_or_not(output, monkeypatch):
    assert ImageEncoder(Pictures(output=output), "image.onnx", None).width == 2
    monkeypatch.setattr(
        Session, "get_outputs", lambda _: [SimpleNamespace(name="text_embeds", type="tensor(float)", shape=[*output])]
    )
    assert TextEncoder(Session(), "text.onnx", Tokenizer(), None).width == 2


@pytest.mark.parametrize(("alone", "runs"), [(False, [3]), (True, [1, 1, 1])])
def test_pictures_share_a_run_but_where_its_scales_would_be_shared_too(alone, runs):
    session = Pictures()
    encoder = ImageEncoder(session, "image.onnx", None, alone=alone)
    assert encoder.embed([np.zeros((8, 8, 3), np.uint8)] * 3).shape == (3, 2)
    assert session.fed == runs


@pytest.mark.parametrize("side", ["side", None, 0, -1])
def test_an_encoder_of_pictures_of_any_size_gets_that_of_clip(side):
    assert ImageEncoder(Pictures((3, side, side)), "image.onnx", None).preprocessing.size == 224


@pytest.mark.parametrize("sides", [(3, 8, 9), (8, 9, 3)])
def test_an_encoder_of_pictures_that_are_no_squares_is_refused(sides):
    with pytest.raises(ModelError, match=r"must take pictures of 8 pixels.*got \[8, 9\]"):
        ImageEncoder(Pictures(sides), "image.onnx", None)


def test_the_last_four_lists_of_texts_are_kept_unless_they_are_long():
    """A server that is asked ever new lists keeps few; a photo after the other is asked the same."""
    session = Session()
    encoder = TextEncoder(session, "text.onnx", Tokenizer(), None)

    def runs_of(texts: tuple[str, ...]) -> int:
        before = len(session.fed)
        encoder.embed_list(texts)
        return len(session.fed) - before

    five = [("a" * number,) for number in range(1, 6)]
    assert [runs_of(texts) for texts in five] == [1] * 5
    assert [runs_of(texts) for texts in (*five[1:], five[0])] == [0, 0, 0, 0, 1]
    most, more = ("a",) * 2048, ("a",) * 2049  # sixteen in a run
    assert [runs_of(most), runs_of(most), runs_of(more), runs_of(more)] == [128, 0, 129, 129]


@pytest.mark.parametrize(
    ("length", "settings", "tokenizers", "expected"),
    [(16, 20, 50, 16), ("length", 20, 50, 20), ("length", None, 50, 50), ("length", None, None, 77)],
)
def test_the_context_is_that_of_the_file_then_of_the_settings_then_of_the_tokenizer(
    length, settings, tokenizers, expected
):
    encoder = TextEncoder(Session(length=length), "text.onnx", Tokenizer(tokenizers), settings)
    assert DEFAULT_CONTEXT_LENGTH == 77
    assert encoder.context_length == expected


def test_texts_are_filled_up_as_the_exports_own_code_does():
    """Transformers with the end, and a mask that ends with the first of it; OpenAI with 0."""
    texts = ["red", "a red dog"]
    plain, masked = Session(), Session(mask=True)
    for session in (plain, masked):
        TextEncoder(session, "text.onnx", Tokenizer(), None).embed(texts)
    assert plain.fed[-1] == {"input_ids": [[START, 3, END, 0, 0], [START, 1, 3, 3, END]]}
    assert masked.fed[-1] == {
        "input_ids": [[START, 3, END, END, END], [START, 1, 3, 3, END]],
        "attention_mask": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
    }


def test_an_export_that_says_any_length_and_means_one_gets_that():
    session = Session(takes=77)
    encoder = TextEncoder(session, "text.onnx", Tokenizer(), None)
    encoder.embed(["red"])
    assert [len(fed["input_ids"][0]) for fed in session.fed] == [77, 77]
    with pytest.raises(ModelError, match="got 16 ids"):
        TextEncoder(Session(length=16, takes=77), "text.onnx", Tokenizer(), None)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["scores", "text_embeds", "pooler_output"], "text_embeds"),  # its name tells
        (["pooler_output", "vectors"], "vectors"),  # what is left
        (["indices", "vectors"], "vectors"),
        (["scores", "vectors"], None),
        (["pooler_output", "logits_per_text"], None),
    ],
)
def test_the_vectors_are_the_output_of_that_name_or_the_only_one_that_can_be(names, taken, monkeypatch):
    kinds = {"indices": "tensor(int64)"}
    outputs = [SimpleNamespace(name=name, type=kinds.get(name, "tensor(float)"), shape=["batch", 2]) for name in names]
    monkeypatch.setattr(Session, "get_outputs", lambda _: outputs)
    monkeypatch.setattr(Session, "run", lambda _, wanted, *__: asked.append(wanted) or [np.ones((1, 2), np.float32)])
    asked = []
    if taken is None:
        with pytest.raises(ModelError, match="no output in the space that pictures and texts share"):
            TextEncoder(Session(), "text.onnx", Tokenizer(), None)
    else:
        TextEncoder(Session(), "text.onnx", Tokenizer(), None).embed(["red"])
        assert asked
        assert all(wanted == [taken] for wanted in asked)


@pytest.mark.parametrize("wrong", [0, np.nan, np.inf])
def test_vectors_that_point_nowhere_are_refused(wrong, monkeypatch):
    monkeypatch.setattr(Session, "run", lambda *_: [np.array([[wrong, 0]], np.float32)])
    with pytest.raises(ModelError, match="infinite, not a number or zero"):
        TextEncoder(Session(), "text.onnx", Tokenizer(), None)


@pytest.mark.parametrize(("stated", "length"), [(77, 77), (3, 3), (2, None), (0, None), ("77", None), (None, None)])
def test_a_context_holds_more_than_start_and_end(stated, length, tmp_path):
    for config in ({"max_position_embeddings": stated}, {"text_config": {"max_position_embeddings": stated}}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert _context_length(tmp_path / "config.json") == length
