"""Clip: whatever the export looks like, pictures and texts that mean the same point the same way."""

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support import toy_clip
from support.tiny_onnx import constant

from fastsam_onnx import Clip, DownloadError, ModelError, ModelNotFoundError, OptionError, PromptError, weights
from fastsam_onnx.clip.encoders import LISTS_KEPT, MOST_KEPT
from fastsam_onnx.clip.files import ClipFiles
from fastsam_onnx.clip.preprocessing import BICUBIC, BILINEAR, resize
from fastsam_onnx.results.text_prompts import embed_texts

NAMES = list(toy_clip.COLOURS)
TEXTS = [f"a photo of the {name} dog" for name in NAMES]


def plain(name, height=9, width=20):
    return np.full((height, width, 3), toy_clip.COLOURS[name], np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_clip.write(tmp_path_factory.mktemp("clip") / "toy")


@pytest.mark.parametrize(
    "export",
    [
        {},
        {"layout": "onnx folder"},
        {"layout": "single"},
        {"layout": "single", "mask": True, "length": 77},
        {"layout": "immich", "batch": 1, "ids_kind": toy_clip.INT32, "length": 77, "normalised": True},
        {"batch": 3},
        {"mask": True, "ids_kind": toy_clip.INT32},
        {"mask": True, "mask_kind": toy_clip.FLOAT},
        {"mask": True, "mask_kind": toy_clip.HALF},
        {"layout": "single", "mask": True, "mask_kind": toy_clip.BOOL},
        {"length": 16},
        {"pixels_kind": toy_clip.HALF},
        {"pixels_kind": toy_clip.UINT8},
        {"names": ("embedding", "embedding")},
        {"names": ("output", "text_features")},
    ],
    ids=lambda export: ", ".join(f"{key} {value}" for key, value in export.items()) or "plain",
)
def test_every_export_puts_words_and_pictures_together(tmp_path, export):
    clip = Clip(toy_clip.write(tmp_path / "clip", **export))
    texts, images = clip.embed_texts(TEXTS), clip.embed_images([plain(name) for name in NAMES])
    np.testing.assert_allclose(np.diag(texts @ images.T), 1, atol=2e-3)
    assert (texts @ images.T).argmax(axis=1).tolist() == list(range(len(NAMES)))
    for vectors in (texts, images):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_many_are_as_each_alone(folder):
    clip = Clip(folder)
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (*rng.integers(1, 60, 2), 3), dtype=np.uint8) for _ in range(37)]
    seen = []
    together = clip.embed_images(images, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(together, np.concatenate([clip.embed_images(image) for image in images]), atol=1e-6)
    assert seen == [(16, 37), (32, 37), (37, 37)]
    many = TEXTS * 6
    np.testing.assert_allclose(clip.embed_texts(many), np.tile(clip.embed_texts(TEXTS), (6, 1)), atol=1e-6)
    assert clip.embed_images([]).shape == (0, 4)


def test_int8_with_scales_of_a_run_sees_each_alone(tmp_path):
    clip = Clip(toy_clip.write(tmp_path / "clip", dynamic=True))
    images = [plain(name) for name in NAMES]
    for embed, many in ((clip.embed_images, images), (clip.embed_texts, TEXTS)):
        alone = np.concatenate([embed([one]) for one in many])
        np.testing.assert_array_equal(embed(many), alone)
        for first in range(len(many) - 1):
            np.testing.assert_array_equal(embed(many[first : first + 2]), alone[first : first + 2])
    clip = Clip(
        toy_clip.write(tmp_path / "fixed", dynamic=True, batch=3)
    )  # which takes three at once, whatever they are
    assert clip.embed_images(images).shape == (len(NAMES), 4)


def test_order_and_words_count_and_spelling_does_not(folder):
    clip = Clip(folder)
    red, same, other = clip.embed_texts(["red thing", "&quot;ＲＥＤ&quot;   thing", "blue thing"])
    np.testing.assert_allclose(red, same, atol=1e-6)
    assert red @ other < 0.5


def test_what_is_cut_off_does_not_count_and_is_warned_of_every_time(folder, caplog):
    """77 ids, start and end among them: 75 words fit."""
    clip = Clip(folder)
    long, short = clip.embed_texts(["red " + "dog " * 200 + "blue", "red"])
    np.testing.assert_allclose(long, short, atol=1e-6)
    assert len(caplog.messages) == 1
    clip.embed_texts("dog " * 75)
    assert len(caplog.messages) == 1
    for _ in range(2):  # the second time it is known
        clip.embed_texts("dog " * 75 + "blue")
    assert len(caplog.messages) == 3
    assert caplog.messages[-1].endswith("... is too long for CLIP: its end is not compared")


def test_the_last_texts_are_computed_once(folder, monkeypatch):
    clip = Clip(folder)
    encoder, asked = clip.text_encoder(), []
    embed = encoder.embed
    monkeypatch.setattr(encoder, "embed", lambda texts: asked.append(list(texts)) or embed(texts))
    first = clip.embed_texts(["red", "blue"])
    expected = first.copy()
    first[:] = 0  # it is the caller's own
    np.testing.assert_array_equal(clip.embed_texts(["red", "blue"]), expected)
    assert asked == [["red", "blue"]]
    for number in range(10):  # lists that go away again, and one that is too long to be kept
        clip.embed_texts([f"red {number}"])
    assert len(encoder._kept) == LISTS_KEPT
    clip.embed_texts(["red"] * (MOST_KEPT + 1))
    assert max(map(len, encoder._kept)) == 1
    np.testing.assert_array_equal(clip.embed_texts(["red", "blue"]), expected)
    assert asked.count(["red", "blue"]) == 2


def test_pictures_are_what_photos_are(folder, tmp_path):
    from PIL import Image

    clip = Clip(folder)
    Image.fromarray(plain("red")).save(tmp_path / "red.png")
    vectors = clip.embed_images(
        [tmp_path / "red.png", (tmp_path / "red.png").read_bytes(), Image.open(tmp_path / "red.png")]
    )
    np.testing.assert_allclose(vectors, np.tile(clip.embed_images(plain("red")), (3, 1)), atol=1e-6)


def test_a_padded_picture_shows_its_ends(folder):
    clip = Clip(folder)
    long = np.concatenate([plain("red", 10, 200), plain("blue", 10, 10), plain("red", 10, 200)], axis=1)
    cut, padded = (clip.embed_images(long, pad=pad)[0] for pad in (None, (123, 117, 104)))
    red, blue = clip.embed_images([plain("red"), plain("blue")])
    assert cut @ blue > cut @ red
    assert padded @ red > padded @ blue


@pytest.mark.parametrize("pad", [0, "grey", (1, 2), (1, 2, 256), (1, 2, float("nan")), [(1, 2, 3)]])
def test_a_pad_is_a_colour(folder, pad):
    """float("nan") was a warning of NumPy and a colour of its own."""
    with pytest.raises(OptionError, match="pad"):
        Clip(folder).embed_images(plain("red"), pad=pad)


def test_settings_beside_the_file_count(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    settings = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}
    toy_clip.write_settings(folder, **settings, image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.5, 1])
    clip = Clip(folder)
    preprocessing = clip.image_encoder().preprocessing
    assert (preprocessing.size, preprocessing.resize) == (32, 40)
    assert (preprocessing.mean, preprocessing.std) == ((0.5, 0.5, 0.5), (0.25, 0.5, 1))
    toy_clip.write_settings(folder, size=224)
    with pytest.raises(ModelError, match=r"pictures of 224 pixels, as the settings beside it say, got \[32\]"):
        Clip(folder).embed_images(plain("red"))
    toy_clip.write_settings(folder, size=[224, 100])
    with pytest.raises(ModelError, match=r"the settings .* cannot be understood"):
        Clip(folder)


def test_pictures_are_not_normalised_where_the_settings_say_so(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    means = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # written even where they are not used
    toy_clip.write_settings(folder, size=32, crop_size=32, do_normalize=False, **means)
    normalised = Clip(folder).image_encoder().preprocessing.normalise(np.full((1, 1, 3), 51, np.uint8))
    np.testing.assert_allclose(normalised.ravel(), 51 / 255)


@pytest.mark.parametrize(
    ("settings", "kernel"),
    [
        ({}, BICUBIC),
        ({"resample": 3, "do_resize": True, "do_center_crop": True}, BICUBIC),
        ({"interpolation": "bicubic", "resize_mode": "shortest"}, BICUBIC),
        ({"resample": 2}, BILINEAR),
        ({"interpolation": "bilinear", "resample": None}, BILINEAR),
    ],
)
def test_pictures_are_resized_as_the_settings_say(tmp_path, settings, kernel):
    """All were resized by bicubic, which gives MobileCLIP, trained with bilinear, other vectors without a word."""
    folder = toy_clip.write(tmp_path / "clip")
    toy_clip.write_settings(folder, size=32, crop_size=32, **settings)
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    square = Clip(folder).image_encoder().preprocessing.square(image)
    np.testing.assert_array_equal(square, resize(image, (32, 32), kernel))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"image_mean": [122.8, 116.7, 104.1], "image_std": [68.5, 66.6, 70.3]}, "of samples from 0 to 1, got"),
        ({"image_mean": [float("nan"), 0.5, 0.5]}, "of samples from 0 to 1, got"),
        ({"image_std": [0.5, 0.5, 0]}, "of samples from 0 to 1, got"),
        ({"image_std": [0.5, 0.5]}, r"must be three numbers, got \[0\.5, 0\.5\]"),
        ({"do_rescale": False}, "must be scaled to 0 to 1"),
        ({"rescale_factor": 1 / 127.5}, "must be scaled to 0 to 1"),
        ({"resample": 1}, "resample must be 3 or bicubic, 2 or bilinear, got 1"),
        ({"resample": [3]}, "resample must be 3 or bicubic"),
        ({"interpolation": "nearest"}, "interpolation must be 3 or bicubic, 2 or bilinear, got 'nearest'"),
        ({"resize_mode": "squash"}, "resize_mode must be \"shortest\", got 'squash'"),
        ({"do_center_crop": False}, "do_center_crop must be true, got False"),
        ({"do_resize": False}, "do_resize must be true, got False"),
        ({"crop_size": 48}, "size must not be less than crop_size, 48, got 32"),
    ],
)
def test_settings_that_would_give_other_vectors_are_refused(tmp_path, settings, reason):
    folder = toy_clip.write(tmp_path / "clip")
    toy_clip.write_settings(folder, **{"size": 32, "crop_size": 32, **settings})
    with pytest.raises(ModelError, match=f"the settings .* cannot be understood: .*{reason}"):
        Clip(folder)


def test_the_context_is_what_the_settings_say(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    (folder / "config.json").write_text('{"text_config": {"max_position_embeddings": 4}}', encoding="utf-8")
    clip = Clip(folder)
    assert clip.text_encoder().context_length == 4
    np.testing.assert_allclose(clip.embed_texts("red dog blue"), clip.embed_texts("red dog"), atol=1e-6)


def test_one_by_one_named_files(folder, tmp_path):
    image, text = folder / "vision_model.onnx", folder / "text_model.onnx"
    expected = Clip(folder).embed_texts("red")
    np.testing.assert_array_equal(Clip(image=image, text=text).embed_texts("red"), expected)
    alone = tmp_path / "text"
    alone.mkdir()
    (alone / "model.onnx").write_bytes(text.read_bytes())
    named = Clip(image=image, text=alone, tokenizer=folder / "tokenizer.json")
    np.testing.assert_array_equal(named.embed_texts("red"), expected)
    with pytest.raises(ModelNotFoundError, match="no tokenizer"):
        Clip(image=image, text=alone)
    with pytest.raises(OptionError, match="image= and text= together"):
        Clip(image=image)
    with pytest.raises(OptionError):
        Clip(folder, image=image, text=text)
    with pytest.raises(OptionError):
        Clip()
    with pytest.raises(OptionError, match="a name, a folder or a file"):
        Clip(True)


def test_of_many_precisions_the_plain_one_is_taken(tmp_path):
    folder = toy_clip.write(tmp_path / "clip", layout="onnx folder")
    for half in ("vision", "text"):
        (folder / "onnx" / f"{half}_model_fp16.onnx").write_bytes(b"not this one")
    files = ClipFiles.find(folder)
    assert (files.image.name, files.text.name) == ("vision_model.onnx", "text_model.onnx")
    (folder / "onnx" / "vision_model.onnx").rename(folder / "onnx" / "vision_model_int8.onnx")
    with pytest.raises(ModelError, match=r"which image encoder is meant.*leave one in the folder"):
        ClipFiles.find(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_no_file_of_a_folder(tmp_path):
    """ONNX Runtime would wait for it without end."""
    folder = toy_clip.write(tmp_path / "clip")
    (folder / "vision_model.onnx").unlink()
    os.mkfifo(folder / "vision_model.onnx")
    (folder / "text_model_fp16.onnx").mkdir()
    with pytest.raises(ModelNotFoundError, match=r"lacks an image encoder: found text_model\.onnx;"):
        ClipFiles.find(folder)
    with pytest.raises(ModelNotFoundError, match="there is no image encoder"):
        ClipFiles.find(image=folder / "vision_model.onnx", text=folder / "text_model.onnx")


@pytest.mark.parametrize("gone", ["vision_model.onnx", "text_model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path, gone):
    folder = toy_clip.write(tmp_path / "clip")
    (folder / gone).unlink()
    what = {"vision_model.onnx": "an image encoder", "text_model.onnx": "a text encoder", "tokenizer.json": "tokenizer"}
    with pytest.raises(ModelNotFoundError, match=what[gone]):
        Clip(folder)


def test_no_folder_and_no_name(tmp_path, monkeypatch):
    with pytest.raises(ModelNotFoundError, match="there is no CLIP at"):
        Clip(tmp_path / "nothing")
    with pytest.raises(ModelNotFoundError, match="clip-vit-b-32-int8"):
        Clip("clip-vit-b-23")
    with pytest.raises(OptionError, match="not a model for this task, clip"):
        Clip("FastSAM-s")
    monkeypatch.setenv(weights.HOME, str(tmp_path))
    monkeypatch.setenv(weights.OFFLINE, "1")
    with pytest.raises(DownloadError, match="clip-vit-b-32-int8"):
        Clip("clip-vit-b-32-int8")


def test_nothing_is_opened_before_it_is_used(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    (folder / "vision_model.onnx").write_bytes(b"no network")
    clip = Clip(folder)
    assert clip.embed_texts("red").shape == (1, 4)
    with pytest.raises(ModelError, match=r"vision_model\.onnx: ONNX Runtime cannot open it"):
        clip.embed_images(plain("red"))


@pytest.mark.parametrize(("half", "call"), [("image", "embed_images"), ("text", "embed_texts")])
def test_an_export_without_projection_is_refused(tmp_path, half, call):
    clip = Clip(toy_clip.write(tmp_path / "clip", projected=False))
    argument = plain("red") if half == "image" else "red"
    with pytest.raises(ModelError, match=rf"one must be {half}_embeds.*with its projection") as caught:
        getattr(clip, call)(argument)
    assert "pooler_output" in str(caught.value)


def test_an_encoder_whose_names_are_not_utf_8_is_told(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    [path] = folder.rglob("text_model.onnx")
    path.write_bytes(path.read_bytes().replace(b"input_ids", b"\xffnput_ids"))
    with pytest.raises(ModelError, match=r"text_model\.onnx: its names or its metadata are not UTF-8"):
        Clip(folder).embed_texts("red")


def test_encoders_of_two_models_are_refused(tmp_path):
    folder = toy_clip.write(tmp_path / "clip", text_width=6)
    for first, second in (("image_encoder", "text_encoder"), ("text_encoder", "image_encoder")):
        clip = Clip(folder)
        getattr(clip, first)()
        with pytest.raises(ModelError, match=r"have 4 values and those of text_model\.onnx 6"):
            getattr(clip, second)()


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    more = [*toy_clip.merges(), *((letter, "x") for letter in "abcdefgh")]
    toy_clip.tokenizer_of_merges(more).save(str(folder / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"text_model\.onnx: ONNX Runtime failed"):
        Clip(folder).embed_texts("red")


def test_a_half_in_the_place_of_the_other_is_called_so(folder):
    with pytest.raises(ModelError, match=r"vision_model\.onnx is the other half of a CLIP: its text encoder is needed"):
        Clip(folder / "vision_model.onnx").embed_texts("red")
    with pytest.raises(ModelError, match=r"text_model\.onnx is the other half of a CLIP: its image encoder is needed"):
        Clip(image=folder / "text_model.onnx", text=folder / "text_model.onnx").embed_images(plain("red"))


def test_files_that_are_something_else_are_refused(tmp_path):
    folder = toy_clip.write(tmp_path / "clip")
    vision = folder / "vision_model.onnx"
    vision.write_bytes(constant({"x": ("batch", 5)}, {"image_embeds": (1, 4)}))
    with pytest.raises(ModelError, match="not the image encoder of a CLIP") as caught:
        Clip(folder).embed_images(plain("red"))
    assert "x tensor(float)" in str(caught.value)
    vision.write_bytes(constant({"x": ("batch", 3, 32, 32)}, {"image_embeds": (1, 4)}, value=np.nan))
    with pytest.raises(ModelError, match="not a number or zero"):
        Clip(folder).embed_images(plain("red"))


@pytest.mark.parametrize("texts", ["", "  ", [], ["red", None], ["red", ""], None, 7, b"red", [b"red"]])
def test_texts_that_are_none_are_refused(folder, texts):
    with pytest.raises(PromptError):
        Clip(folder).embed_texts(texts)


@pytest.mark.parametrize("wordless", ["\ufeff", "\x00", "&#32;"])
def test_a_text_without_a_word_is_named_by_its_place_among_all(folder, wordless):
    """It was counted within a batch of 16, and with templates among all that they make."""
    texts = [*TEXTS, *["dog"] * (20 - len(TEXTS)), wordless]
    with pytest.raises(PromptError, match="text prompt 20 must have at least one word"):
        Clip(folder).embed_texts(texts)
    with pytest.raises(PromptError, match="text prompt 20 must have at least one word"):
        embed_texts(Clip(folder), texts, ["{}", "a {}"])


def test_threads_share_one_and_processes_get_their_own(folder):
    clip = Clip(folder)
    expected = Clip(folder).embed_texts(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: (clip.embed_texts(TEXTS), clip.embed_images(plain("red"))), range(24)))
    for texts, image in answers:
        np.testing.assert_array_equal(texts, expected)
        np.testing.assert_array_equal(image, answers[0][1])
    again = pickle.loads(pickle.dumps(clip))
    np.testing.assert_array_equal(again.embed_texts(TEXTS), expected)
    assert Path(again.files.text) == clip.files.text


def test_a_child_is_not_known_as_such_before_what_was_open_is_forgotten(folder):
    """Another of its threads took a session of the parent, whose threads are not there: it waited for ever."""
    order = []

    class Noted(Clip):
        def __setattr__(self, name, value):
            order.append(name)
            super().__setattr__(name, value)

    clip = Noted(folder)
    clip._process = 0  # as of a parent
    del order[:]
    clip._forget_what_was_forked()
    assert {"_sessions", "_text_encoder", "_image_encoder"} < set(order)
    assert order[-1] == "_process"


def test_threads_of_a_child_that_come_at_once_forget_once(folder):
    """The second took away what the first had opened, whose answer then was None."""
    times = []

    class Slow(Clip):
        def _forget(self):
            times.append(1)
            time.sleep(0.2)
            super()._forget()

    clip = Slow(folder)
    expected = clip.embed_texts(TEXTS)
    clip._process = 0  # as of a parent
    del times[:]
    with ThreadPoolExecutor(2) as pool:
        for answer in pool.map(clip.embed_texts, [TEXTS] * 2):
            np.testing.assert_array_equal(answer, expected)
    assert times == [1]


def test_a_name_that_is_too_long_is_no_file():
    name = "x" * 300
    with pytest.raises(ModelNotFoundError, match=f"there is no CLIP at {name}"):
        Clip(Path(name))
    with pytest.raises(ModelNotFoundError, match=f"there is no image encoder {name}"):
        Clip(image=name, text=name, tokenizer=name)
