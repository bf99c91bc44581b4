"""The halves of a CLIP: what is fed to a session, whatever its export looks like."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from fastsam_onnx.clip.encoders import TextEncoder
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
        (["scores", "vectors"], None),
        (["pooler_output", "logits_per_text"], None),
    ],
)
def test_the_vectors_are_the_output_of_that_name_or_the_only_one_that_can_be(names, taken, monkeypatch):
    outputs = [SimpleNamespace(name=name, type="tensor(float)", shape=["batch", 2]) for name in names]
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
