"""Any picture in, upright RGB or a clear `ImageError` out: formats, pixel kinds, sources, damage, bombs."""

import base64
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path, PureWindowsPath

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from support.tensor import Tensor

from fastsam_onnx.errors import FastSAMError, ImageError, OptionError
from fastsam_onnx.images.header import exif_orientation, read_header
from fastsam_onnx.images.load import has_transparency, load_image, source_name

HOSTILE = Path(__file__).parents[3] / "shared" / "data" / "hostile_images"
# Until 4.12 OpenCV's wheels decode neither GIF nor animated WebP.
DECODES_ANIMATION = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 12)
needs_animation = pytest.mark.skipif(not DECODES_ANIMATION, reason="this OpenCV decodes no GIF")
HEIGHT, WIDTH = 19, 23
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
# No two rows, columns or channels alike, so that any swap or flip shows; smooth, so that JPEG keeps it.
RGB = np.stack([COLUMNS * 11, ROWS * 13, 255 - 5 * (ROWS + COLUMNS)], axis=-1).astype(np.uint8)
GREY = RGB[..., 0]
OPACITY = (255 - COLUMNS * 10).astype(np.uint8)
RGBA = np.dstack([RGB, OPACITY])
# By the definition of "over" on white paper.
RGB_ON_WHITE = RGB * (OPACITY[..., None] / 255) + 255 - OPACITY[..., None].astype(float)
GREY_ON_WHITE = np.repeat((GREY * (OPACITY / 255) + 255 - OPACITY)[..., None], 3, axis=2)


def encode(pixels, format_name, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def grey_as_rgb(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, rows, *chunks, bits=8, colour=2):
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header),
            *chunks,
            png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""),
        ]
    )


def png_rows(samples):
    return b"".join(b"\0" + row.tobytes() for row in samples)


def tiff(samples, photometric, extra=None, order="<", size=(WIDTH, HEIGHT)):
    """An uncompressed TIFF of one strip; `samples` is (H, W) or (H, W, n)."""
    body = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    sample_format = 3 if samples.dtype.kind == "f" else 1
    # One value each; the bits of the samples are equal, and the first counts.
    tags = {256: size[0], 257: size[1], 258: samples.itemsize * 8, 259: 1, 262: photometric, 273: 4096}
    tags |= {277: channels, 278: size[1], 279: len(body), 339: sample_format}
    tags |= {} if extra is None else {338: extra}
    entries = []
    for tag, value in sorted(tags.items()):
        if tag in {258, 339} and channels > 2:  # several shorts do not fit into the entry
            entries.append(struct.pack(order + "HHII", tag, 3, channels, 2048 + tag * 4))
        elif tag in {258, 339} and channels == 2:
            entries.append(struct.pack(order + "HHIHH", tag, 3, 2, value, value))
        else:
            entries.append(struct.pack(order + "HHII", tag, 4, 1, value))
    file = bytearray(4096)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags)) + b"".join(entries)
    file[: len(head)] = head
    for tag in (258, 339):
        file[2048 + tag * 4 : 2048 + tag * 4 + 2 * channels] = struct.pack(
            f"{order}{channels}H", *[tags[tag]] * channels
        )
    return bytes(file) + body


RNG_OF_COLOURS = np.random.default_rng(8)


def bmp(samples, bits=32, header_size=40, compression=0, masks=b""):
    body = samples[::-1].tobytes()
    start = 14 + header_size + (len(masks) if header_size == 40 else 0)
    header = struct.pack("<IiiHHIIiiII", header_size, WIDTH, HEIGHT, 1, bits, compression, len(body), 0, 0, 0, 0)
    header = (header + masks).ljust(start - 14, b"\0")
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + body


def exif_with(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@cache
def small_files():
    """One small sound file of each kind that a photo may come as."""
    grey, palette = Image.fromarray(GREY), Image.fromarray(RGB).quantize(16)
    run_lengths = b"".join(b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in GREY[::-1]) + b"\0\1"
    greys = b"".join(bytes([value, value, value, 0]) for value in range(256))
    files = {
        "jpeg": encode(RGB, "JPEG"),
        "jpeg progressive": encode(RGB, "JPEG", progressive=True),
        "jpeg grey": encode(grey, "JPEG"),
        "png": encode(RGB, "PNG"),
        "png palette": encode(palette, "PNG"),
        "png 16": encode(GREY.astype(np.uint16) * 257, "PNG"),
        "webp": encode(RGB, "WEBP"),
        "webp lossless": encode(RGBA, "WEBP", lossless=True, exact=True),
        "gif": encode(palette, "GIF"),
        "bmp": encode(RGB, "BMP"),
        "bmp run lengths": b"BM"
        + struct.pack("<IHHI", 1078 + len(run_lengths), 0, 0, 1078)
        + struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(run_lengths), 0, 0, 256, 256)
        + greys
        + run_lengths,
        "tiff": encode(RGB, "TIFF"),
        "tiff lzw": encode(RGB, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encode(RGB, "TIFF", compression="tiff_deflate"),
        "tiff jpeg": encode(RGB, "TIFF", compression="jpeg"),
        "bigtiff": encode(RGB, "TIFF", big_tiff=True),
        "ppm": encode(RGB, "PPM"),
        "pgm": encode(grey, "PPM"),
        "pbm": encode(grey.convert("1"), "PPM"),
    }
    if not DECODES_ANIMATION:
        del files["gif"]
    if "AVIF" in Image.SAVE and cv2.haveImageWriter("x.avif"):
        files["avif"] = encode(RGB, "AVIF")
    return files


SMALL_FILE_NAMES = sorted(small_files())


class TestFormats:
    @pytest.mark.parametrize("name", SMALL_FILE_NAMES)
    def test_every_format_decodes_as_pillow_decodes_it(self, name):
        loaded = load_image(small_files()[name])
        image = Image.open(io.BytesIO(small_files()[name]))
        if name == "png 16":
            expected = grey_as_rgb(GREY)
        elif name == "webp lossless":
            expected = RGB_ON_WHITE
        else:
            expected = np.asarray(image.convert("RGB"))
        assert loaded.shape == (HEIGHT, WIDTH, 3)
        assert loaded.dtype == np.uint8
        assert loaded.flags.c_contiguous
        np.testing.assert_allclose(loaded, expected, atol=2)

    @pytest.mark.parametrize("name", ["png", "bmp", "tiff", "tiff lzw", "tiff deflate", "bigtiff", "ppm"])
    def test_lossless_formats_are_exact(self, name):
        np.testing.assert_array_equal(load_image(small_files()[name]), RGB)

    @pytest.mark.parametrize(("white", "dtype"), [(15, "u1"), (100, "u1"), (1023, ">u2"), (65535, ">u2")])
    def test_pgm_is_scaled_by_its_own_maximum(self, white, dtype):
        samples = COLUMNS * white // (WIDTH - 1)
        file = b"P5 # comment\n%d %d\n# another\n%d\n" % (WIDTH, HEIGHT, white) + samples.astype(dtype).tobytes()
        np.testing.assert_allclose(load_image(file), grey_as_rgb(samples * 255 / white), atol=0.5)

    def test_text_forms_of_pnm(self):
        ppm = b"P3\n# c\n%d %d\n255\n" % (WIDTH, HEIGHT) + b" ".join(b"%d" % value for value in RGB.ravel())
        np.testing.assert_array_equal(load_image(ppm), RGB)
        for maximum in (10, 15, 100, 254):  # which OpenCV scales itself, to 255
            samples = [0, maximum // 2, maximum]
            pgm = b"P2 3 1 %d\n%d %d %d" % (maximum, *samples)
            np.testing.assert_allclose(load_image(pgm)[0, :, 0], np.array(samples) * 255 / maximum, atol=1)
            ppm = b"P3 1 1 %d\n%d %d %d" % (maximum, *samples)
            np.testing.assert_allclose(load_image(ppm)[0, 0], np.array(samples) * 255 / maximum, atol=1)
        assert load_image(b"P2 3 1 1000\n0 500 1000")[0, :, 0].tolist() == [0, 128, 255]
        pbm = b"P1 2 1\n0 1"
        assert load_image(pbm)[0, :, 0].tolist() == [255, 0]

    @needs_animation
    def test_first_frame_and_first_page_count(self):
        frames = [Image.fromarray(np.full((8, 9, 3), level, np.uint8)) for level in (40, 200)]
        for format_name in ("GIF", "PNG", "WEBP", "TIFF"):
            lossless = {"lossless": True} if format_name == "WEBP" else {}
            file = encode(frames[0], format_name, save_all=True, append_images=frames[1:], **lossless)
            np.testing.assert_allclose(load_image(file), 40, atol=1)

    @needs_animation
    @pytest.mark.parametrize("index", [0, 3, 4, 255])
    def test_gif_whose_background_is_no_colour_of_its_table(self, index):
        """Pillow reads it; OpenCV took it for damage."""
        buffer = io.BytesIO()
        Image.fromarray(RGB).quantize(4).save(buffer, "GIF")
        file = bytearray(buffer.getvalue())
        assert file[10] & 0x87 == 0x81  # a table of 4 colours
        file[11] = index
        expected = np.asarray(Image.open(io.BytesIO(bytes(file))).convert("RGB"))
        np.testing.assert_array_equal(load_image(bytes(file)), expected)

    @needs_animation
    def test_gif_whose_only_table_of_colours_is_that_of_its_frame(self):
        grey = Image.fromarray(GREY)
        grey.putpalette([level for level in range(256) for _ in "rgb"])
        file = encode(grey, "GIF", optimize=False)
        end = 13 + 3 * 256
        frame = file.index(b"\x2c", end) + 9
        own = file[:10] + bytes([file[10] & 0x7F]) + file[11:13] + file[end:frame] + bytes([file[frame] | 0x87])
        np.testing.assert_array_equal(load_image(own + file[13:end] + file[frame + 1 :]), grey_as_rgb(GREY))

    @needs_animation
    def test_gif_without_its_trailer_is_whole(self):
        # Browsers show it and nothing of the picture is missing.
        file = small_files()["gif"]
        assert file.endswith(b"\x3b")
        np.testing.assert_array_equal(load_image(file[:-1]), load_image(file))

    def test_bytes_after_the_picture_do_no_harm(self):
        for name in ("jpeg", "png", "bmp", "webp", *(["gif"] if DECODES_ANIMATION else [])):
            np.testing.assert_array_equal(
                load_image(small_files()[name] + b"PK\3\4more"), load_image(small_files()[name])
            )

    @pytest.mark.skipif(not hasattr(cv2, "IMWRITE_AVIF_DEPTH"), reason="this OpenCV writes no AVIF")
    @pytest.mark.parametrize("depth", [8, 10, 12])
    def test_avif_of_more_than_8_bits_is_scaled_by_its_depth(self, depth):
        if not cv2.haveImageWriter("x.avif"):
            pytest.skip("this OpenCV writes no AVIF")
        flat = np.full((16, 16, 3), 200 << (depth - 8), np.uint8 if depth == 8 else np.uint16)
        done, file = cv2.imencode(".avif", flat, [cv2.IMWRITE_AVIF_DEPTH, depth])
        assert done
        np.testing.assert_allclose(load_image(file.tobytes()), 200, atol=2)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"%PDF-1.7", "PDF"),
            (b"<svg xmlns='...'>", "SVG"),
            (b"<!DOCTYPE html>", "HTML.*fetch it again"),
            (b"\0\0\0\x18ftypheic", "HEIC.*Pillow opens with the package pillow-heif"),
            (b"\0\0\0\x18ftypcrx ", "raw file of a camera"),
            (b"FUJIFILMCCD-RAW 0201", "raw file of a camera"),
            (b"IIRO\x08\0\0\0", "raw file of a camera"),
            (b"IIU\0\x18\0\0\0", "raw file of a camera"),
            (b"\0\0\0\x18ftypisom", "video"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
            (b"\xff\x0a\x7a", "JPEG XL"),
            (b"just text", "not a picture"),
            (b"\n\xff\xd8\xff\xe0", "not a picture"),
            (b"", "empty"),
        ],
    )
    def test_other_content_is_named(self, content, words):
        with pytest.raises(ImageError, match=words):
            load_image(content)


class TestPixelKinds:
    @pytest.mark.parametrize("format_name", ["PNG", "WEBP", "TIFF"])
    def test_alpha_is_composited_on_white(self, format_name):
        options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
        # libtiff multiplies with rounding of its own, hence 1.
        np.testing.assert_allclose(load_image(encode(RGBA, format_name, **options)), RGB_ON_WHITE, atol=1)

    def test_grey_with_alpha(self):
        file = encode(Image.fromarray(np.dstack([GREY, OPACITY])), "PNG")
        np.testing.assert_allclose(load_image(file), GREY_ON_WHITE, atol=0.51)

    def test_a_tall_picture_is_composited_row_by_row_as_a_low_one(self):
        copies = 40
        tall = load_image(np.tile(RGBA, (copies, 1, 1)))
        np.testing.assert_array_equal(tall, np.tile(load_image(RGBA), (copies, 1, 1)))

    def test_transparent_is_white(self):
        transparent = np.dstack([RGB, np.zeros_like(GREY)])
        np.testing.assert_array_equal(load_image(encode(transparent, "PNG")), 255)

    def test_16_bits_are_scaled_not_clipped(self):
        wide = (COLUMNS * 2900).astype(np.uint16)
        expected = grey_as_rgb(np.rint(wide / 257))
        for file in (encode(wide, "PNG"), encode(wide, "TIFF"), tiff(wide, 1), tiff(wide, 1, order=">")):
            np.testing.assert_array_equal(load_image(file), expected)
        np.testing.assert_array_equal(load_image(tiff(wide, 0)), 255 - expected)  # photometric 0: white is 0

    def test_16_bit_colour_and_alpha(self):
        wide = (RGBA.astype(np.uint16) * 257).astype(">u2")
        file = png(WIDTH, HEIGHT, png_rows(wide), bits=16, colour=6)
        np.testing.assert_allclose(load_image(file), RGB_ON_WHITE, atol=0.51)
        np.testing.assert_array_equal(load_image(tiff(wide[..., :3], 2)), RGB)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            (0, RGB),  # unspecified: not alpha
            (1, np.minimum(RGB + 255.0 - OPACITY[..., None], 255)),  # associated: colours are multiplied already
            (2, RGB_ON_WHITE),  # unassociated
        ],
    )
    def test_tiff_says_what_its_fourth_sample_is(self, dtype, extra, expected):
        samples = RGBA.astype(dtype) * dtype(np.iinfo(dtype).max // 255)
        np.testing.assert_allclose(load_image(tiff(samples, 2, extra)), expected, atol=1)

    def test_tiff_that_opencv_would_get_wrong_is_refused(self):
        for samples, photometric, extra in (
            (np.dstack([GREY, OPACITY]), 1, 2),  # alpha would be dropped
            (RGBA.astype(np.uint16), 5, None),  # CMYK of 16 bits
            (RGB.astype(np.uint16), 8, None),  # Lab
            (RGB, 8, None),
            (GREY.astype(np.uint32), 1, None),
            (GREY.astype(np.float32), 1, None),  # 0 to 242
        ):
            with pytest.raises(ImageError):
                load_image(tiff(samples, photometric, extra))

    def test_float_tiff_in_0_to_1(self):
        np.testing.assert_array_equal(load_image(tiff((RGB / 255).astype(np.float32), 2)), RGB)

    def test_few_bits(self):
        bits = (COLUMNS + ROWS) % 3 == 0
        for file in (
            encode(bits, "PNG"),
            encode(bits, "TIFF"),
            encode(bits, "TIFF", compression="group4"),
            encode(bits, "BMP"),
            encode(bits, "PPM"),
        ):
            np.testing.assert_array_equal(load_image(file), grey_as_rgb(bits * 255))
        for depth, white in ((2, 3), (4, 15)):
            file = png(4, 1, b"\0" + (b"\x1b" if depth == 2 else b"\x05\xaf"), bits=depth, colour=0)
            levels = [0, 1, 2, 3] if depth == 2 else [0, 5, 10, 15]
            assert load_image(file)[0, :, 0].tolist() == [level * 255 // white for level in levels]

    @pytest.mark.parametrize("format_name", ["PNG", pytest.param("GIF", marks=needs_animation), "BMP", "TIFF"])
    def test_palettes(self, format_name):
        palette = Image.fromarray(RGB).quantize(16)
        np.testing.assert_array_equal(load_image(encode(palette, format_name)), np.asarray(palette.convert("RGB")))

    @pytest.mark.parametrize("format_name", ["PNG", pytest.param("GIF", marks=needs_animation)])
    def test_transparent_palette_entry_is_white(self, format_name):
        palette = Image.fromarray(RGB).quantize(16)
        transparent = np.asarray(palette) == 3
        expected = np.asarray(palette.convert("RGB")).copy()
        expected[transparent] = 255
        assert transparent.any()
        np.testing.assert_array_equal(load_image(encode(palette, format_name, transparency=3)), expected)

    @pytest.mark.parametrize("bits", [8, 16])
    def test_transparent_colour_of_a_png(self, bits):
        for colour, pixels in ((2, RGB), (0, GREY)):
            samples = pixels.astype(">u2") * 257 if bits == 16 else pixels
            key = np.asarray(samples[4, 5], ">u2").tobytes()  # always two bytes a sample
            file = png(WIDTH, HEIGHT, png_rows(samples), png_chunk(b"tRNS", key), bits=bits, colour=colour)
            expected = (RGB if colour == 2 else grey_as_rgb(GREY)).copy()
            expected[(pixels.reshape(HEIGHT, WIDTH, -1) == pixels[4, 5]).all(axis=2)] = 255
            np.testing.assert_array_equal(load_image(file), expected)

    def test_transparent_grey_of_two_bits(self):
        file = png(4, 1, b"\0\x1b", png_chunk(b"tRNS", b"\0\2"), bits=2, colour=0)
        assert load_image(file)[0, :, 0].tolist() == [0, 85, 255, 255]  # 0, 1, the transparent 2, 3

    @pytest.mark.parametrize("format_name", ["JPEG", "TIFF"])
    def test_cmyk_is_not_inverted(self, format_name):
        options = {"quality": 95} if format_name == "JPEG" else {}
        file = encode(Image.fromarray(RGB).convert("CMYK"), format_name, **options)
        np.testing.assert_allclose(load_image(file), RGB, atol=6)

    def test_spare_byte_of_a_bmp_is_not_alpha(self):
        spare = np.dstack([RGB[..., ::-1], np.zeros_like(GREY)])
        np.testing.assert_array_equal(load_image(bmp(spare)), RGB)

    @pytest.mark.parametrize("spare", [0, 100, 255])
    def test_the_fourth_byte_of_a_bmp_with_masks_but_none_of_alpha_is_none(self, spare):
        """Of zeros all was white."""
        masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
        samples = np.dstack([RGB[..., ::-1], np.full_like(GREY, spare)])
        file = bmp(samples, compression=3, masks=masks)
        np.testing.assert_array_equal(load_image(file), RGB)
        assert not has_transparency(file)
        turned = bmp(samples, compression=3, masks=struct.pack("<III", 0xFF, 0xFF00, 0xFF0000))
        with pytest.raises(ImageError, match="BMP with 32 bits in another order than blue, green, red is not read"):
            load_image(turned)

    @pytest.mark.parametrize("bits", [1, 4, 8, 24])
    def test_a_bmp_of_os2_has_its_colours(self, bits):
        colours = RNG_OF_COLOURS.integers(0, 256, (1 << min(bits, 8), 3), np.uint8)
        picked = np.arange(16).reshape(2, 8) % len(colours)
        if bits == 24:
            table, rows = b"", colours[picked][..., ::-1].tobytes()
        else:
            table = colours[:, ::-1].tobytes()
            binary = ["".join(f"{index:0{bits}b}" for index in row) for row in picked]
            rows = b"".join(int(row, 2).to_bytes(bits, "big") + bytes(-bits % 4) for row in binary)
        start = 26 + len(table)
        file = b"BM" + struct.pack("<IHHIIHHHH", start + len(rows), 0, 0, start, 12, 8, 2, 1, bits) + table + rows
        np.testing.assert_array_equal(load_image(file), colours[picked][::-1])

    def test_alpha_mask_of_a_bmp(self):
        masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        samples = np.dstack([RGB[..., ::-1], OPACITY])
        file = bmp(samples, header_size=108, compression=3, masks=masks)
        np.testing.assert_allclose(load_image(file), RGB_ON_WHITE, atol=0.51)

    def test_bmp_of_top_row_first(self):
        file = bytearray(bmp(np.dstack([RGB[..., ::-1], GREY])))
        struct.pack_into("<i", file, 22, -HEIGHT)
        np.testing.assert_array_equal(load_image(bytes(file)), RGB[::-1])


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF 16"])
    def test_files_come_out_upright_once(self, format_name, orientation):
        wide = format_name == "TIFF 16"
        pixels = GREY.astype(np.uint16) * 257 if wide else RGB
        options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(format_name, {})
        file = encode(pixels, format_name.split()[0], exif=exif_with(orientation), **options)
        # Pillow turns the 8-bit picture; the 16-bit one is the same turned.
        stored = Image.fromarray(grey_as_rgb(GREY) if wide else RGB)
        stored.getexif()[0x0112] = orientation
        expected = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
        np.testing.assert_allclose(load_image(file), expected, atol=6 if format_name == "JPEG" else 0)

    @pytest.mark.skipif("avif" not in SMALL_FILE_NAMES, reason="Pillow or OpenCV writes no AVIF")
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_avif_turns_and_mirrors(self, orientation):
        # Pillow writes the orientation as AVIF's own properties, and honours them when it opens the file.
        file = encode(RGB, "AVIF", quality=100, subsampling="4:4:4", exif=exif_with(orientation))
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file)))).astype(int)
        np.testing.assert_allclose(load_image(file), expected, atol=3)

    def test_known_corner(self):
        # Orientation 6: the stored top row is the right column when upright.
        file = encode(RGB, "PNG", exif=exif_with(6))
        np.testing.assert_array_equal(load_image(file)[:, -1], RGB[0])

    def test_big_endian_tiff(self):
        file = bytearray(tiff(RGB, 2, order=">"))
        # The entry of rows per strip, which may be missing, becomes an orientation of 3.
        at = file.index(struct.pack(">HHII", 278, 4, 1, HEIGHT))
        struct.pack_into(">HHIHH", file, at, 274, 3, 1, 3, 0)
        np.testing.assert_array_equal(load_image(bytes(file)), RGB[::-1, ::-1])

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_values_out_of_range_are_ignored(self, orientation):
        file = encode(RGB, "PNG", exif=exif_with(orientation))
        np.testing.assert_array_equal(load_image(file), RGB)

    @given(st.binary(max_size=80))
    @settings(deadline=None)
    def test_damaged_exif_never_matters(self, garbage):
        for block in (garbage, b"Exif\0\0" + garbage, b"II*\0\x08\0\0\0" + garbage, b"MM\0+\0\x08\0\0" + garbage):
            assert exif_orientation(block) in range(1, 9)

    def test_pil_image_that_carries_the_tag(self):
        file = encode(RGB, "PNG", exif=exif_with(6))
        opened = Image.open(io.BytesIO(file))
        np.testing.assert_array_equal(load_image(opened), load_image(file))
        np.testing.assert_array_equal(load_image(ImageOps.exif_transpose(opened)), load_image(file))


class TestDamage:
    @pytest.mark.parametrize("name", SMALL_FILE_NAMES)
    def test_a_file_cut_anywhere_is_an_error_or_still_whole(self, name):
        file = small_files()[name]
        whole = load_image(file)
        for length in range(len(file)):
            try:
                loaded = load_image(file[:length])
            except ImageError:
                continue
            np.testing.assert_array_equal(loaded, whole)  # GIF trailer, tags and end codes behind the pixels

    @pytest.mark.parametrize("missing", [1, 3 * WIDTH + 1, 8 * (3 * WIDTH + 1)])
    def test_png_with_too_few_rows(self, missing):
        rows = png_rows(RGB)
        np.testing.assert_array_equal(load_image(png(WIDTH, HEIGHT, rows)), RGB)
        with pytest.raises(ImageError):
            load_image(png(WIDTH, HEIGHT, rows[:-missing]))

    def test_png_with_a_wrong_checksum(self):
        file = bytearray(small_files()["png"])
        for position in (17, 33 + 12):  # the width in IHDR, the picture data
            file[position] ^= 1
            with pytest.raises(ImageError):
                load_image(bytes(file))
            file[position] ^= 1

    @needs_animation
    def test_gif_whose_codes_end_early(self):
        header = read_header(small_files()["gif"])
        at = header.data.rindex(b"\x2c\0\0\0\0" + struct.pack("<HH", WIDTH, HEIGHT))
        with pytest.raises(ImageError):
            load_image(header.data[: at + 11] + b"\0\x3b")

    def test_jpeg_thumbnail_end_is_not_the_end(self):
        exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0\xff\xd8\xff\xd9"
        segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
        file = small_files()["jpeg"]
        whole = file[:2] + segment + file[2:]
        np.testing.assert_array_equal(load_image(whole), load_image(file))
        with pytest.raises(ImageError, match="cut short"):
            load_image(whole[:-2])

    def test_a_marker_of_a_jpeg_that_stands_alone_has_no_length(self):
        """TEM (T.81, table B.1); it may come several times, a second beginning may not."""
        file = small_files()["jpeg"]
        np.testing.assert_array_equal(load_image(file[:2] + 2 * b"\xff\x01" + file[2:]), load_image(file))
        with pytest.raises(ImageError, match="JPEG"):
            load_image(file[:2] + b"\xff\xd8" + file[2:])

    @given(st.sampled_from(SMALL_FILE_NAMES), st.data())
    @settings(deadline=None, max_examples=300)
    def test_damaged_files_give_a_picture_or_an_image_error(self, name, data):
        file = bytearray(small_files()[name])
        for _ in range(data.draw(st.integers(1, 4))):
            file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
        self.assert_picture_or_error(bytes(file[: data.draw(st.integers(0, len(file)))]))
        self.assert_picture_or_error(bytes(file))

    @given(
        st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBPVP8 ", b"GIF89a", b"BM"])
        | st.sampled_from([b"II*\0", b"MM\0+", b"P6 ", b"P2 3 3 255 ", b"\xff\x4f\xff\x51", b"\0\0\0\x1cftypavif"]),
        st.binary(max_size=300),
    )
    @settings(deadline=None, max_examples=300)
    def test_random_bytes_give_a_picture_or_an_image_error(self, signature, body):
        self.assert_picture_or_error(signature + body)

    @staticmethod
    def assert_picture_or_error(file):
        try:
            loaded = load_image(file, pixel_limit=1_000_000)
        except ImageError:
            return
        assert loaded.dtype == np.uint8
        assert loaded.ndim == 3
        assert loaded.shape[2] == 3
        assert loaded.flags.c_contiguous


def declaring(name, width, height):
    """A file whose header declares a size; only the header is sound."""
    if name == "PNG":
        return png(width, height, b"")
    if name == "JPEG":
        size = struct.pack(">HH", height, width)
        return b"\xff\xd8\xff\xc0\0\x11\x08" + size + b"\3\1\x11\0\2\x11\0\3\x11\0\xff\xda\0\x02\xff\xd9"
    if name == "GIF":
        size = struct.pack("<HH", width, height)
        return b"GIF89a" + size + bytes(3) + b"\x2c" + bytes(9) + b"\2\1\0\0\x3b"
    if name == "WebP":
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + size + b"VP8L\0\0\0\0"
    if name == "BMP":
        # Run lengths, so that the length of the data tells nothing.
        return b"BM" + struct.pack("<IHHIIiiHHI", 54, 0, 0, 54, 40, width, height, 1, 8, 1) + bytes(20)
    if name == "TIFF":
        return tiff(GREY, 1, size=(width, height))
    assert name == "PNM"
    return b"P2 %d %d 255 0" % (width, height)


class TestPixelLimit:
    @pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF", "PNM"])
    def test_is_checked_before_anything_is_decoded(self, name, monkeypatch):
        def forbidden(*_):
            raise AssertionError("the decoder was called")

        monkeypatch.setattr(cv2, "imdecode", forbidden)
        width, height = (16000, 16000)
        header = read_header(declaring(name, width, height))
        assert (header.format, header.width, header.height) == (name, width, height)
        with pytest.raises(ImageError, match="more than the pixel limit"):
            load_image(declaring(name, width, height))

    def test_is_checked_before_pillow_decodes(self, monkeypatch):
        image = Image.open(io.BytesIO(encode(RGB, "PNG")))
        monkeypatch.setattr(image, "load", lambda: pytest.fail("it was decoded"))
        with pytest.raises(ImageError, match="more than the pixel limit"):
            load_image(image, pixel_limit=WIDTH * HEIGHT - 1)

    def test_the_largest_sizes_of_webp(self):
        """24 bits a side for the canvas; 14 for a lossy picture, beside two of a scale that says nothing of pixels."""
        header = read_header(declaring("WebP", 2**24, 2**16 + 1))
        assert (header.width, header.height) == (2**24, 2**16 + 1)
        frame = b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 2**14 - 1 | 1 << 14, 2**14 - 2 | 3 << 14)
        header = read_header(b"RIFF\x16\0\0\0WEBP" + frame)
        assert (header.width, header.height) == (2**14 - 1, 2**14 - 2)

    def test_counts_pixels_of_every_source(self):
        area = WIDTH * HEIGHT
        for source in (RGB, Image.fromarray(RGB), small_files()["png"]):
            np.testing.assert_array_equal(load_image(source, pixel_limit=area), RGB)
            np.testing.assert_array_equal(load_image(source, pixel_limit=None), RGB)
            with pytest.raises(
                ImageError, match=f"{WIDTH} x {HEIGHT} = {area} pixels, more than the pixel limit of {area - 1}"
            ):
                load_image(source, pixel_limit=area - 1)

    @pytest.mark.parametrize("limit", [0, -1, 1.5, "many", True, np.float32(3)])
    def test_must_be_an_integer(self, limit):
        with pytest.raises(OptionError, match="pixel_limit must be an integer >= 1, got"):
            load_image(RGB, pixel_limit=limit)

    def test_numpys_integers_are_integers(self):
        np.testing.assert_array_equal(load_image(RGB, pixel_limit=np.int64(RGB.size)), RGB)

    @pytest.mark.parametrize("name", ["PNG", "GIF", "BMP", "TIFF", "PNM"])
    def test_no_pixels_is_an_error(self, name):
        with pytest.raises(ImageError):
            load_image(declaring(name, 0, 5))

    def test_text_and_profiles_of_a_png_never_reach_the_decoder(self):
        bomb = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000)))
        file = png(WIDTH, HEIGHT, png_rows(RGB), bomb, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10_000_000))))
        assert len(read_header(file).data) == len(png(WIDTH, HEIGHT, png_rows(RGB)))
        np.testing.assert_array_equal(load_image(file), RGB)

    def test_a_second_size_does_not_hide_the_first(self):
        small, large = declaring("JPEG", 8, 8), declaring("JPEG", 60000, 60000)
        with pytest.raises(ImageError, match="two sizes"):
            load_image(large[:-2] + small[2:])
        file = bytearray(tiff(GREY, 1, size=(60000, 60000)))
        at = file.index(struct.pack("<HHI", 279, 4, 1))  # the sizes of the strips may be missing
        struct.pack_into("<HHII", file, at, 256, 4, 1, 8)
        with pytest.raises(ImageError, match="more than the pixel limit"):
            load_image(bytes(file))

    def test_jpeg_of_endless_scans(self):
        file = small_files()["jpeg"]
        scan = file.index(b"\xff\xda")
        with pytest.raises(ImageError, match="scans"):
            load_image(file[:-2] + 600 * file[scan:-2] + file[-2:])

    def test_tile_larger_than_any_picture(self):
        file = bytearray(tiff(GREY, 1))
        # 273, 278, 279 become tile tags in place; entries need not be sorted for this reader.
        for tag, new, value in ((273, 324, 4096), (278, 322, 1 << 20), (279, 323, 1 << 20)):
            at = file.index(struct.pack("<HHI", tag, 4, 1))
            struct.pack_into("<HHII", file, at, new, 4, 1, value)
        with pytest.raises(ImageError, match="tiles"):
            load_image(bytes(file))


class TestArrays:
    @pytest.mark.parametrize(
        ("array", "expected"),
        [
            (RGB, RGB),
            (GREY, grey_as_rgb(GREY)),
            (GREY[..., None], grey_as_rgb(GREY)),
            (GREY > 99, grey_as_rgb((GREY > 99) * 255)),
            (RGB.astype(np.uint16) * 257, RGB),
            (RGB.astype(">u2") * 257, RGB),
            (RGB / 255, RGB),
            ((RGB / 255).astype(np.float32), RGB),
            ((RGB / 255).astype(np.float16), RGB),
            ((RGB / 255).astype(">f8"), RGB),
            (np.asfortranarray(RGB), RGB),
            (RGB[::-1, ::-1], RGB[::-1, ::-1]),
            (RGB[::2, 1::3], RGB[::2, 1::3]),
        ],
    )
    def test_shapes_types_and_layouts(self, array, expected):
        kept = array.copy()
        loaded = load_image(array)
        np.testing.assert_array_equal(loaded, expected)
        np.testing.assert_array_equal(array, kept)
        assert loaded.dtype == np.uint8
        assert loaded.flags.c_contiguous

    def test_16_bits_are_rounded(self):
        array = np.array([[0, 128, 129, 385, 386, 65406, 65407, 65535]], np.uint16)
        # 128/257 = 0.498, 129/257 = 0.502, 385/257 = 1.498, 386/257 = 1.502, 65406/257 = 254.498, 65407/257 = 254.502
        assert load_image(array)[0, :, 0].tolist() == [0, 0, 1, 1, 2, 254, 255, 255]

    def test_bgr(self):
        np.testing.assert_array_equal(load_image(RGB[..., ::-1], channel_order="bgr"), RGB)
        bgra = RGBA[..., [2, 1, 0, 3]]
        np.testing.assert_allclose(load_image(bgra, channel_order="bgr"), RGB_ON_WHITE, atol=0.51)
        np.testing.assert_array_equal(load_image(GREY, channel_order="bgr"), grey_as_rgb(GREY))
        np.testing.assert_array_equal(load_image(small_files()["png"], channel_order="bgr"), RGB)

    def test_alpha_of_every_type(self):
        for array in (RGBA, RGBA.astype(np.uint16) * 257, RGBA / 255):
            np.testing.assert_allclose(load_image(array), RGB_ON_WHITE, atol=0.51)
        opaque = np.dstack([RGB, np.full_like(GREY, 255)])
        np.testing.assert_array_equal(load_image(opaque), RGB)

    def test_read_only_is_accepted_and_right_arrays_are_not_copied(self):
        frozen = RGB.copy()
        frozen.flags.writeable = False
        assert load_image(frozen) is frozen
        np.testing.assert_array_equal(load_image(frozen, channel_order="bgr"), RGB[..., ::-1])

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (RGB / 1.0, "from 0 to 1, got"),
            (RGB / 255 - 0.1, "from 0 to 1, got"),
            (np.where(GREY > 9, np.nan, 0.5), "finite"),
            (np.where(GREY > 9, np.inf, 0.5), "finite"),
            (RGB.astype(np.int32), "int32"),
            (RGB.astype(np.int8), "int8"),
            (RGB.astype(object), "object"),
            (RGB.astype(complex), "complex"),
            (RGB.astype(str), "<U"),
            (np.zeros((4, 4, 5), np.uint8), "shape"),
            (np.zeros((4, 4, 2), np.uint8), "shape"),
            (np.zeros((3, 40, 50), np.uint8), "transpose"),
            (np.zeros((1, 4, 4, 3), np.uint8), "one picture at a time"),
            (np.zeros(9, np.uint8), "shape"),
            (np.zeros((), np.uint8), "shape"),
            (np.zeros((0, 4, 3), np.uint8), "no pixels"),
            (np.zeros((4, 0), np.float32), "no pixels"),
            (np.ma.masked_equal(GREY, GREY[0, 0]), r"a masked array hides some of its values; .* array\.filled\(0\)"),
        ],
    )
    def test_what_cannot_be_a_picture_says_why(self, array, words):
        with pytest.raises(ImageError, match=words) as caught:
            load_image(array)
        assert f"array {array.shape}" in str(caught.value)

    def test_channel_order_must_be_known(self):
        with pytest.raises(OptionError, match="channel_order must be one of 'rgb', 'bgr', got 'gbr'"):
            load_image(RGB, channel_order="gbr")


class TestPIL:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P", "PA", "CMYK", "YCbCr", "HSV", "RGBX", "RGBa"])
    def test_modes(self, mode):
        source = Image.fromarray(RGBA if mode in {"RGBA", "LA", "PA", "RGBa"} else RGB)
        image = source.convert("RGBA").convert("RGBa") if mode == "RGBa" else source.convert(mode)
        straight = np.asarray(image.convert("RGBA")).astype(float)
        expected = straight[..., :3] * straight[..., 3:] / 255 + 255 - straight[..., 3:]
        np.testing.assert_allclose(load_image(image), expected, atol=1)

    def test_16_bits_and_floats_are_not_clipped(self):
        wide = (COLUMNS * 2900).astype(np.uint16)
        np.testing.assert_array_equal(load_image(Image.fromarray(wide)), load_image(wide))
        np.testing.assert_array_equal(load_image(Image.fromarray((GREY / 255).astype(np.float32))), grey_as_rgb(GREY))
        with pytest.raises(ImageError, match="int32"):
            load_image(Image.fromarray(wide.astype(np.int32)))

    def test_transparency_of_a_palette(self):
        palette = Image.fromarray(RGB).quantize(16)
        palette.info["transparency"] = 3
        assert (load_image(palette)[np.asarray(palette) == 3] == 255).all()

    def test_a_file_that_pil_cannot_finish(self):
        image = Image.open(io.BytesIO(small_files()["bmp"][:-200]))
        with pytest.raises(ImageError, match=f"PIL image \\({WIDTH} x {HEIGHT}\\)"):
            load_image(image)


class Trickle(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, content):
        super().__init__()
        self.rest = content

    def readable(self):
        return True

    def read(self, _=-1):
        head, self.rest = self.rest[:1], self.rest[1:]
        return head


class TestSources:
    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO, Trickle])
    def test_content(self, wrap):
        np.testing.assert_array_equal(load_image(wrap(small_files()["png"])), RGB)

    @pytest.mark.parametrize("name", ["写真 🐕.png", "naïve.png", "--help", "[0-9]#%s{}$HOME.jpg", "a" * 100])
    def test_paths_of_any_name(self, name, tmp_path):
        path = tmp_path / name
        path.write_bytes(small_files()["png"])
        np.testing.assert_array_equal(load_image(path), RGB)
        np.testing.assert_array_equal(load_image(str(path)), RGB)
        with path.open("rb") as stream:
            np.testing.assert_array_equal(load_image(stream), RGB)
            assert not stream.closed

    def test_memoryview_with_gaps(self):
        gaps = bytearray(2 * len(small_files()["png"]))
        gaps[::2] = small_files()["png"]
        np.testing.assert_array_equal(load_image(memoryview(gaps)[::2]), RGB)

    def test_released_memoryview(self):
        view = memoryview(b"content")
        view.release()
        with pytest.raises(ImageError, match="released"):
            load_image(view)

    def test_file_object_is_read_from_where_it_stands(self):
        stream = io.BytesIO(b"12345" + small_files()["png"])
        stream.seek(5)
        np.testing.assert_array_equal(load_image(stream), RGB)
        with pytest.raises(ImageError, match="seek"):
            load_image(stream)

    def test_file_objects_that_cannot_be_read(self, tmp_path):
        path = tmp_path / "photo.png"
        path.write_bytes(small_files()["png"])
        with path.open(encoding="latin-1") as stream, pytest.raises(ImageError, match="'rb'"):
            load_image(stream)
        with pytest.raises(ImageError, match="'rb'"):
            load_image(io.StringIO("text"))
        with path.open() as stream, pytest.raises(ImageError, match="'rb'"):
            load_image(stream)
        for maker in (tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile):
            with maker(mode="w+", encoding="latin-1") as stream:
                for content in ("", "text"):
                    stream.write(content)
                    stream.seek(0)
                    with pytest.raises(ImageError, match="'rb'"):
                        load_image(stream)
        with path.open("rb") as stream:
            pass
        with pytest.raises(ImageError, match="closed"):
            load_image(stream)
        with path.open("ab") as stream, pytest.raises(ImageError, match="read"):
            load_image(stream)
        with zipfile.ZipFile(io.BytesIO(), "w") as archive, archive.open("a", "w") as entry, pytest.raises(ImageError):
            load_image(entry)

    def test_missing(self, tmp_path):
        with pytest.raises(ImageError, match=r"nowhere\.jpg: there is no such file"):
            load_image(tmp_path / "nowhere.jpg")

    @pytest.mark.parametrize("url", ["http://example.org/a.jpg", "https://example.org/a.jpg", "file:///a.jpg"])
    def test_nothing_is_downloaded(self, url):
        for source in (url, Path(url)):
            with pytest.raises(ImageError, match=r"cannot read .*a\.jpg: pictures are not downloaded; fetch it"):
                load_image(source)

    def test_content_as_text_is_told_to_be_decoded_without_showing_it(self):
        text = base64.b64encode(bytes(100_000)).decode()
        for content in (text, f"data:image/png;base64,{text}"):
            with pytest.raises(
                ImageError, match=r"characters\): a text must be a path; .* base64\.b64decode"
            ) as caught:
                load_image(content)
            assert len(str(caught.value)) < 300
        with pytest.raises(ImageError, match="base64"):
            load_image("data:image/png;base64,AA")

    def test_a_file_with_signs_of_a_pattern_is_refused_for_its_own_reason(self, tmp_path, monkeypatch):
        path = tmp_path / "a[1].jpg"
        path.touch()

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ImageError, match=r"a\[1\]\.jpg: Permission denied"):
            load_image(path)

    def test_what_beginners_give_is_told_what_to_give(self, tmp_path):
        (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(20))
        for source, way in (
            (None, r"NoneType: .*; cv2\.imread gives None .*: give its path"),
            (["a.jpg", "b.jpg"], r"list: .*; FastSAM\.stream takes many photos"),
            ("in/*.jpg", r"patterns are not expanded: .* sorted\(glob\.glob\('in/\*\.jpg'\)\), to FastSAM\.stream"),
            (tmp_path, r"it is a folder; .* the folder to FastSAM\.stream"),
            (
                tmp_path / "clip.mp4",
                r"a video as one photo is not read; give its path alone, not in a list, to FastSAM\.stream, or on the",
            ),
            ("", "the path is empty"),
            (
                cv2.VideoCapture(),
                r"VideoCapture: .*; FastSAM\.stream takes .* one frame .* channel_order='bgr'",
            ),
            (0, r"int: .*; FastSAM\.stream takes the number of a camera"),
        ):
            with pytest.raises(ImageError, match=f"cannot read .*{way}"):
                load_image(source)

    def test_directory(self, tmp_path):
        for folder in (tmp_path, str(tmp_path), ""):
            with pytest.raises(ImageError):
                load_image(folder)

    def test_path_that_no_system_accepts(self):
        for name in ("a\0b.jpg", "a" * 5000):
            with pytest.raises(ImageError):
                load_image(name)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
    def test_fifo_is_refused_without_waiting(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ImageError, match=r"not a regular file; .* file object, or on the command line give - "):
            load_image(tmp_path / "pipe")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is readable here")
    def test_unreadable(self, tmp_path):
        path = tmp_path / "secret.png"
        path.write_bytes(small_files()["png"])
        path.chmod(0)
        with pytest.raises(ImageError, match="ermission"):
            load_image(path)

    @pytest.mark.parametrize("source", [None, 5, ["photo.jpg"], [[1, 2], [3, 4]], object()])
    def test_other_things_are_refused(self, source):
        with pytest.raises(ImageError, match="give a path, bytes"):
            load_image(source)

    def test_a_tensor_is_told_how_it_is_given(self):
        with pytest.raises(ImageError, match=r"cannot read Tensor.*tensor\.permute\(1, 2, 0\)\.cpu\(\)\.numpy\(\)"):
            load_image(Tensor(np.zeros((3, 8, 8))))

    def test_error_can_be_caught_as_both(self):
        assert issubclass(ImageError, FastSAMError)
        assert issubclass(ImageError, ValueError)

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            ("photo.jpg", "photo.jpg"),
            (PureWindowsPath("a/b.jpg"), "a\\b.jpg"),
            ("tab\there", "'tab\\there'"),
            ("\udce9.jpg", "'\\udce9.jpg'"),
            ("", "''"),
            (b"1234", "bytes (4 bytes)"),
            (bytearray(3), "bytearray (3 bytes)"),
            (RGB, f"array ({HEIGHT}, {WIDTH}, 3) uint8"),
            (Image.fromarray(RGB), f"PIL image ({WIDTH} x {HEIGHT})"),
            (io.BytesIO(), "file object BytesIO"),
            (None, "NoneType"),
        ],
    )
    def test_source_name(self, source, name):
        assert source_name(source) == name

    @pytest.mark.process
    def test_heavy_packages_stay_out(self):
        program = (
            "import sys, fastsam_onnx.images.load as image; assert 'cv2' not in sys.modules; "
            f"image.load_image({small_files()['png']!r}); assert 'cv2' in sys.modules; assert 'PIL' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def hostile_entries():
    manifest = HOSTILE / "manifest.json"
    return json.loads(manifest.read_text(encoding="utf-8"))["files"] if manifest.exists() else []


@cache
def hostile_file(name):
    path = HOSTILE / name
    if path.exists():
        return path.read_bytes()
    with zipfile.ZipFile(HOSTILE / "odd-names.zip") as archive:
        return archive.read(name)


@pytest.mark.skipif(not HOSTILE.exists(), reason="the project's collection of hostile images is not beside the clone")
class TestHostileImages:
    """`manifest.json` says what must happen for each of 300 files."""

    @pytest.mark.parametrize("entry", hostile_entries(), ids=lambda entry: ascii(entry["file"]))
    def test_outcome(self, entry):
        if not DECODES_ANIMATION and entry["file"].endswith((".gif", "anim.webp")):
            pytest.skip("this OpenCV decodes no GIF")
        if entry["expected"] == "error":
            with pytest.raises(ImageError):
                load_image(hostile_file(entry["file"]))
            return
        try:
            loaded = load_image(hostile_file(entry["file"]))
        except ImageError:
            assert entry["expected"] == "either"
            return
        if entry["size"]:
            assert list(loaded.shape) == [entry["size"][1], entry["size"][0], 3]
        if entry.get("gray"):
            assert (loaded[..., 0] == loaded[..., 2]).all()
            self.assert_grey_photo(entry["file"], loaded)

    @staticmethod
    def assert_grey_photo(name, loaded):
        if any(word in name for word in ("1bit", "2bit", "alpha")):
            return  # dithered, coarse or blended with white: grey, but not pixel by pixel the photo
        photo = Image.open(io.BytesIO(hostile_file("ok.png"))).convert("L")
        assert np.abs(loaded[..., 0] - np.asarray(photo, float)).mean() < 6

    @pytest.mark.parametrize("group", sorted({entry["group"] for entry in hostile_entries() if entry.get("group")}))
    def test_files_of_a_group_are_the_same_picture(self, group):
        loaded = [load_image(hostile_file(entry["file"])) for entry in hostile_entries() if entry.get("group") == group]
        assert len(loaded) > 1
        for other in loaded[1:]:
            assert np.abs(loaded[0].astype(int) - other).mean() <= 3

    def test_odd_names_on_disk(self, tmp_path):
        with zipfile.ZipFile(HOSTILE / "odd-names.zip") as archive:
            for entry in archive.infolist():
                path = tmp_path / entry.filename
                try:
                    path.write_bytes(archive.read(entry))
                except OSError:
                    continue  # this file system refuses the name
                assert load_image(path).shape == (120, 160, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_that_pillow_opened_is_turned_once(tmp_path, orientation):
    """Pillow turns a TIFF while it loads it, and takes the tag away."""
    stored = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    path = tmp_path / "turned.tif"
    Image.fromarray(stored).save(path, tiffinfo={274: orientation})
    with Image.open(path) as opened:
        np.testing.assert_array_equal(load_image(opened), load_image(path))
