"""Strips: a file's rows are those of the whole picture, whatever its compression, and only a few lie in memory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.tiny_onnx import bright_object

from fastsam_onnx import FastSAM, ImageError
from fastsam_onnx.images import rows as strips
from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.rows import FileRows, open_rows
from fastsam_onnx.images.tiff import tiff_parts

NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIPS_ABOVE", 0)
    monkeypatch.setattr(strips, "PART_PIXELS", 900)


def picture(height: int = 101, width: int = 67, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, np.iinfo(dtype).max, (height // 4 + 1, width // 4 + 1, channels), dtype)
    return np.kron(coarse, np.ones((4, 4, 1), dtype))[:height, :width].squeeze()


def tiled_tiff(path: Path, pixels: np.ndarray, tile: tuple[int, int] = (32, 16), *, order: str = "<") -> None:
    """Tiles of 32 rows and 16 columns, deflated, after TIFF 6.0; those at the edges are filled with zeros."""
    height, width, channels = pixels.shape
    rows, columns = -(-height // tile[0]), -(-width // tile[1])
    padded = np.zeros((rows * tile[0], columns * tile[1], channels), np.uint8)
    padded[:height, :width] = pixels
    bodies = [
        zlib.compress(padded[y : y + tile[0], x : x + tile[1]].tobytes())
        for y in range(0, rows * tile[0], tile[0])
        for x in range(0, columns * tile[1], tile[1])
    ]
    longs = f"{order}{len(bodies)}I"
    tags = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [8] * channels), (259, 3, [DEFLATE]), (262, 3, [2]),
        (277, 3, [channels]), (322, 4, [tile[1]]), (323, 4, [tile[0]]),
    ]  # fmt: skip
    count = len(tags) + 2
    at = 8 + 2 + 12 * count + 4
    extra, directory = b"", []
    for tag, kind, values in tags:
        raw = struct.pack(f"{order}{len(values)}{'I' if kind == 4 else 'H'}", *values)
        if len(raw) > 4:
            directory.append(struct.pack(order + "HHII", tag, kind, len(values), at + len(extra)))
            extra += raw + b"\0" * (len(raw) % 2)
        else:
            directory.append(struct.pack(order + "HHI", tag, kind, len(values)) + raw.ljust(4, b"\0"))
    offsets_at = at + len(extra)
    data_at = offsets_at + 8 * len(bodies)
    starts = [data_at + sum(map(len, bodies[:index])) for index in range(len(bodies))]
    directory.append(struct.pack(order + "HHII", 324, 4, len(bodies), offsets_at))
    directory.append(struct.pack(order + "HHII", 325, 4, len(bodies), offsets_at + 4 * len(bodies)))
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(order + "IH", 8, count) + b"".join(directory) + bytes(4) + extra
    lists = struct.pack(longs, *starts) + struct.pack(longs, *map(len, bodies))
    path.write_bytes(head + lists + b"".join(bodies))


def mapped(path: Path, pixels: np.ndarray) -> np.memmap:
    """The same array as a file that is mapped into memory."""
    np.save(path, pixels)
    array = np.load(path, mmap_mode="r")
    assert isinstance(array, np.memmap)
    return array


def check_rows(path: Path | np.memmap, **options: str) -> None:
    """Bands that overlap, as tiles ask for them, are those of the whole picture."""
    whole = load_image(path, **options)
    rows = open_rows(path, pixel_limit=None, **options)
    assert isinstance(rows, FileRows)
    assert rows.image_size == (whole.shape[1], whole.shape[0])
    for top, bottom in ((0, 40), (20, 60), (41, 81), (61, 101)):
        assert np.array_equal(rows.band(top, bottom), whole[top:bottom])
        assert len(rows._rows) <= 40 + 32  # no more than asked for and the part that was begun
    assert np.array_equal(rows.overview(), whole)  # small enough to be kept as it is


@pytest.mark.parametrize("channel_order", ["rgb", "bgr"])
@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (4, np.uint8), (3, np.uint16)])
def test_an_array_that_is_a_file(tmp_path, channels, dtype, channel_order):
    check_rows(mapped(tmp_path / "a.npy", picture(101, 67, channels, dtype)), channel_order=channel_order)


def test_an_array_that_is_a_file_is_refused_as_any_array(tmp_path):
    for pixels, message in (
        (np.zeros((9, 9, 2), np.uint8), "its shape must be"),
        (np.zeros((9, 9)) + 2, "from 0 to 1"),
    ):
        with pytest.raises(ImageError, match=rf"cannot read array \(9, 9.*{message}"):
            FastSAM(bright_object(), imgsz=224)(mapped(tmp_path / "a.npy", pixels), tile=64)
    array = mapped(tmp_path / "a.npy", picture())
    assert open_rows(array, pixel_limit=100) is None
    assert open_rows(array, pixel_limit=None, bands=(3, 2, 1)) is None


def test_tiles_of_an_array_that_is_a_file_are_those_of_the_array_and_leave_it_where_it_is(tmp_path, monkeypatch):
    """It may be larger than the memory: it is never held as a whole."""
    monkeypatch.setattr(strips, "OVERVIEW_SIDE", 100)
    photo = np.full((384, 384, 3), 40, np.uint8)
    cv2.circle(photo, (192, 196), 90, (255, 255, 255), -1)
    model = FastSAM(bright_object(), imgsz=224, threads=1)
    read = model(mapped(tmp_path / "a.npy", photo), tile=224)
    assert read.image is None
    assert np.array_equal(model(photo, tile=224).masks.dense(), read.masks.dense())


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (4, np.uint8), (3, np.uint16)])
def test_tiff_in_strips(tmp_path, compression, channels, dtype):
    path = tmp_path / "a.tif"
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 7]
    assert cv2.imwrite(str(path), picture(channels=channels, dtype=dtype), options)
    check_rows(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_in_tiles(tmp_path, order):
    path = tmp_path / "a.tif"
    tiled_tiff(path, picture(), order=order)
    assert np.array_equal(load_image(path), picture())  # the test's own writer is right
    check_rows(path)


@pytest.mark.parametrize(("kind", "channels"), [(b"P6", 3), (b"P5", 1)])
def test_pnm(tmp_path, kind, channels):
    path = tmp_path / "a.pnm"
    path.write_bytes(kind + b"\n# a comment\n67 101\n255\n" + picture(channels=channels).tobytes())
    check_rows(path)


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("bands", [(4, 2, 1), [3], None])
def test_bands_and_white_are_those_of_the_whole_picture(tmp_path, tile, bands):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
    path = tmp_path / "a.tif"
    samples = (picture(channels=5, dtype=np.uint16) >> 4).astype(np.uint16)
    tifffile.imwrite(path, samples, photometric="minisblack", planarconfig="contig", rowsperstrip=7, tile=tile)
    rows = open_rows(path, pixel_limit=None, bands=bands, white=4095)
    chosen = samples[..., [band - 1 for band in bands or (1, 2, 3)]].astype(int)
    expected = np.broadcast_to((chosen * 255 + 2047) // 4095, (101, 67, 3))
    for top, bottom in ((0, 40), (20, 60), (41, 101)):
        assert np.array_equal(rows.band(top, bottom), expected[top:bottom])


def test_bands_of_a_pnm_are_left_to_the_refusal(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 67 101 255\n" + picture().tobytes())
    assert open_rows(path, pixel_limit=None, bands=(3, 2, 1)) is None
    assert open_rows(path, pixel_limit=None, white=100).band(0, 1)[0, 0].tolist() == [
        min(255, (int(value) * 255 + 50) // 100) for value in picture()[0, 0]
    ]


def test_an_overview_is_the_picture_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(strips, "OVERVIEW_SIDE", 32)
    path = tmp_path / "a.tif"
    tiled_tiff(path, picture(150, 110))
    rows = open_rows(path, pixel_limit=None)
    rows.band(0, 100)
    rows.band(50, 150)
    small = rows.overview()
    assert small.shape == (38, 28, 3)  # every 4 pixels one; 150 = 37 * 4 + 2
    blocks = picture(150, 110)[:148, :108].reshape(37, 4, 27, 4, 3).mean(axis=(1, 3))
    assert np.abs(small[:37, :27] - blocks).mean() < 25  # columns are 110 / 28 pixels wide, not 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    assert open_rows(tmp_path / "pipe.tif", pixel_limit=None) is None


def test_what_cannot_be_read_in_strips_is_left_to_the_decoder(tmp_path, monkeypatch):
    for name in ("a.png", "a.jpg", "a.webp", "a.bmp"):
        assert cv2.imwrite(str(tmp_path / name), picture())
        assert open_rows(tmp_path / name, pixel_limit=None) is None
    Image.fromarray(picture()).save(tmp_path / "turned.tif", tiffinfo={274: 6})
    assert open_rows(tmp_path / "turned.tif", pixel_limit=None) is None
    whole = tmp_path / "whole.tif"
    tiled_tiff(whole, picture())
    (tmp_path / "cut.tif").write_bytes(whole.read_bytes()[:-9])
    assert open_rows(tmp_path / "cut.tif", pixel_limit=None) is None
    assert open_rows(whole, pixel_limit=100) is None
    assert open_rows(tmp_path / "nowhere.tif", pixel_limit=None) is None
    assert open_rows(picture(), pixel_limit=None) is None
    monkeypatch.setattr(strips, "STRIPS_ABOVE", 67 * 101)
    assert open_rows(whole, pixel_limit=None) is None


def test_that_a_picture_is_dark_is_told_once(tmp_path, caplog):
    """Not of each of its parts; of one that is not dark not at all, though its first rows are."""
    for highest, at_the_end, times in ((1000, 1200, 1), (5000, 5000, 0), (30, 5000, 0), (0, 0, 0)):
        path = tmp_path / f"{highest}.tif"
        samples = np.full((101, 67), highest, np.uint16)
        samples[-1] = at_the_end
        assert cv2.imwrite(str(path), samples, [cv2.IMWRITE_TIFF_ROWSPERSTRIP, 7])
        caplog.clear()
        rows = open_rows(path, pixel_limit=None)
        rows.band(0, 60)
        rows.band(60, 101)
        told = [record.getMessage() for record in caplog.records]
        assert [f"{highest}.tif is nearly black: its 16-bit samples reach 1200" in message for message in told] == [
            True
        ] * times


def test_files_cut_anywhere_or_with_any_byte_changed_never_crash(tmp_path):
    tiled_tiff(tmp_path / "a.tif", picture(40, 40))
    data = (tmp_path / "a.tif").read_bytes()
    rng = np.random.default_rng(0)
    for length in range(0, 250, 3):
        tiff_parts(data[:length])
    for _ in range(500):
        changed = bytearray(data)
        changed[rng.integers(200)] = rng.integers(256)
        parts = tiff_parts(bytes(changed))
        if parts is not None:
            parts.excerpt(0, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [LZW, DEFLATE, PACKBITS])
def test_a_damaged_part_is_an_error_that_names_the_file(tmp_path, compression, dtype):
    path = tmp_path / "a.tif"
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 7]
    assert cv2.imwrite(str(path), picture(dtype=dtype), options)
    data = bytearray(path.read_bytes())
    offset, size = tiff_parts(bytes(data)).places[12]
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    rows = open_rows(path, pixel_limit=None)
    rows.band(0, 60)
    with pytest.raises(ImageError, match=r"cannot read .*a\.tif: strip or tile 0 of the TIFF is damaged"):
        rows.band(60, 101)
    with pytest.raises(ImageError, match=r"cannot read .*a\.tif: strip or tile 12 of the TIFF is damaged"):
        load_image(path)


def test_tiles_of_a_file_in_strips_find_what_tiles_of_the_picture_find(tmp_path):
    photo = np.full((384, 384, 3), 40, np.uint8)
    cv2.circle(photo, (192, 196), 90, (255, 255, 255), -1)
    tiled_tiff(tmp_path / "a.tif", photo)
    model = FastSAM(bright_object(), imgsz=224, threads=1)
    held, read = model(photo, tile=224), model(tmp_path / "a.tif", tile=224)
    assert len(held) == len(read) == 1
    assert np.array_equal(held.masks.dense(), read.masks.dense())
    assert read.source == "a.tif"
    assert read.image.shape == (384, 384, 3)


def test_a_large_picture_in_strips_comes_without_its_photo(tmp_path, monkeypatch):
    monkeypatch.setattr(strips, "OVERVIEW_SIDE", 100)
    photo = np.full((384, 384, 3), 40, np.uint8)
    cv2.circle(photo, (192, 196), 90, (255, 255, 255), -1)
    tiled_tiff(tmp_path / "a.tif", photo)
    model = FastSAM(bright_object(), imgsz=224, threads=1)
    read = model(tmp_path / "a.tif", tile=224)
    assert read.image is None
    assert read.image_size == (384, 384)
    assert np.array_equal(model(photo, tile=224).masks.dense(), read.masks.dense())
