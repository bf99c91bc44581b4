"""Layers for picture editors, as an independent reader of such files (psd-tools) sees them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.samples import HEIGHT, WIDTH, make_sample

from fastsam_onnx import Mask, Segmentation, draw, formats
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.formats import psd

PSDImage = pytest.importorskip("psd_tools", reason="psd-tools, which reads PSD, is not installed").PSDImage


def opened(data: bytes):
    return PSDImage.open(io.BytesIO(data))


def colours_of(layer):
    return np.stack([np.asarray(channel) for channel in layer.topil().split()[:3]], axis=2)


def test_every_object_is_a_layer_with_the_photos_pixels_and_its_mask(sample, monkeypatch):
    monkeypatch.setattr(psd, "ROOM", 0.04)  # 2 of 48 pixels
    below, *layers = opened(formats.encode(sample, "psd"))
    assert (below.name, below.bbox, below.mask) == ("photo", (0, 0, WIDTH, HEIGHT), None)
    np.testing.assert_array_equal(colours_of(below), sample.image)
    areas = [mask.area for mask in sample.masks]
    order = sorted(range(5), key=lambda index: -areas[index])  # the smallest on top
    assert [layer.name for layer in layers] == [f"object {index}" for index in order]
    for layer, index in zip(layers, order, strict=True):
        left, top, right, bottom = map(int, sample.masks[index].box)
        left, top, right, bottom = max(0, left - 2), max(0, top - 2), min(WIDTH, right + 2), min(HEIGHT, bottom + 2)
        assert layer.bbox == layer.mask.bbox == (left, top, right, bottom)
        assert layer.visible
        assert (layer.opacity, layer.blend_mode.name, layer.mask.background_color) == (255, "NORMAL", 0)
        np.testing.assert_array_equal(colours_of(layer), sample.image[top:bottom, left:right])
        np.testing.assert_array_equal(
            np.asarray(layer.mask.topil()), sample.masks[index].dense()[top:bottom, left:right] * np.uint8(255)
        )


def test_all_layers_together_look_like_the_photo(sample):
    """And so does the picture for programs that know no layers: Pillow takes that."""
    data = formats.encode(sample, "psd")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), sample.image)
    np.testing.assert_array_equal(np.asarray(opened(data).composite(force=True).convert("RGB")), sample.image)


def test_soft_layers_have_the_soft_cut_outs_alpha_and_colours(sample):
    chosen = sample[1]
    left, top, right, bottom = opened(formats.encode(sample[1:2], "psd", soft=True))[1].bbox
    layer = opened(formats.encode(sample[1:2], "psd", soft=True))[1]
    cut = draw.cutout(chosen, sample.image, soft=True, whole=True)[top:bottom, left:right]
    shown = np.asarray(layer.mask.topil())
    np.testing.assert_array_equal(shown, cut[..., 3])
    assert np.isin(shown, (0, 255)).mean() < 1
    colours = colours_of(layer)
    np.testing.assert_array_equal(colours[shown > 0], cut[shown > 0][:, :3])
    np.testing.assert_array_equal(colours[shown == 0], sample.image[top:bottom, left:right][shown == 0])


@given(
    st.lists(st.lists(st.sampled_from([0, 1, 127, 128, 255]), min_size=1, max_size=9), min_size=1, max_size=4),
    st.data(),
)
def test_rows_of_any_runs_are_packed(runs, data):
    """Unpacked by TIFF's and PSD's rule: a head of 0 to 127 is followed by so many bytes and one, -1 to -127 by one."""
    lengths = data.draw(st.lists(st.integers(1, 300), min_size=9, max_size=9))
    rows = [np.repeat(np.uint8(row), lengths[: len(row)]) for row in runs]
    width = max(map(len, rows))
    plane = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
    packed = psd.packed(plane)
    assert packed[:2] == b"\x00\x01"
    counts = np.frombuffer(packed, ">u2", len(plane), 2)
    start = 2 + 2 * len(plane)
    for row, count in zip(plane, counts.tolist(), strict=True):
        assert unpacked(packed[start : start + count]) == row.tobytes()
        start += count
    assert start == len(packed)


def unpacked(data: bytes) -> bytes:
    out, at = b"", 0
    while at < len(data):
        head = int.from_bytes(data[at : at + 1], "big", signed=True)
        assert head != -128
        taken = head + 1 if head >= 0 else 1
        out += data[at + 1 : at + 1 + taken] * (1 if head >= 0 else 1 - head)
        at += 1 + taken
    return out


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (301, 1), (129, 5)])
def test_photos_of_odd_sizes_are_whole_files(size):
    """What follows the layers begins at an even byte."""
    width, height = size
    photo = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3).astype(np.uint8)
    found = Segmentation.from_masks([Mask.from_dense(np.ones((height, width), bool))], image=photo)
    read = opened(formats.encode(found, "psd"))
    assert [layer.bbox for layer in read] == [(0, 0, width, height)] * 2
    np.testing.assert_array_equal(np.asarray(read.topil().convert("RGB")), photo)


@pytest.mark.parametrize("name", ["cup", "Tasse à café", "杯子", "a\x00b\n", "\ud800", "🍵" * 3, "n" * 400, ""])
def test_layers_are_called_what_their_objects_are(sample, name):
    named = Segmentation.from_masks(sample.masks[:1], image=sample.image, labels=[0], names={0: name})
    layer = opened(formats.encode(named, "psd"))[1]
    expected = f"object 0, {name}".replace("\ud800", "?")[:255]
    assert layer.name.rstrip("\x00") == expected


def test_objects_without_pixels_have_no_layer(sample):
    empty = Segmentation.from_masks([Mask.empty((WIDTH, HEIGHT)), sample.masks[1]], image=sample.image)
    assert [layer.name for layer in opened(formats.encode(empty, "psd"))] == ["photo", "object 1"]
    assert [layer.name for layer in opened(formats.encode(sample[:0], "psd", image=sample.image))] == ["photo"]


def test_what_such_a_file_cannot_hold_is_refused(sample, tmp_path, monkeypatch):
    wide = Segmentation.from_masks([Mask.empty((30_001, 1))], image=np.zeros((1, 30_001, 3), np.uint8))
    with pytest.raises(OutputError, match=r"30001x1 photo .*\.psd: its sides must be at most 30000"):
        wide.save(tmp_path / "wide.psd")
    monkeypatch.setattr(psd, "MOST_LAYERS", 5)
    with pytest.raises(OutputError, match=r"5 objects .* fewer than 5 layers"):
        sample.save(tmp_path / "many.psd")
    monkeypatch.undo()
    monkeypatch.setattr(psd, "MOST_BYTES", 9_999)
    with pytest.raises(OutputError, match=r"bytes are more than the 9999 .*fewer obj"):
        sample.save(tmp_path / "long.psd")
    with pytest.raises(OptionError, match="soft must be True or False"):
        sample.save(tmp_path / "soft.psd", soft="yes")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_either_name_is_written(tmp_path):
    """photo.psd may be somebody's work, so beside photos it is photo.layers.psd."""
    sample = make_sample()
    sample.save(tmp_path / "a.psd")
    sample.save(tmp_path / "a.layers.psd")
    assert (
        (tmp_path / "a.psd").read_bytes() == (tmp_path / "a.layers.psd").read_bytes() == formats.encode(sample, "psd")
    )
    assert formats.suffixes_beside_photos(["psd"]) == {"psd": ".layers.psd"}
