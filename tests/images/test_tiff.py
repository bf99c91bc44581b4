"""TIFF as people have it: compressions, bands, ranges of values; damage is told, whatever strip it is in."""

import io
import logging
import struct
import tracemalloc
import warnings
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastsam_onnx import ImageError, OptionError
from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.tiff import read_directory, tiff_parts
from fastsam_onnx.images.tiff_bands import read_bands
from fastsam_onnx.images.tiff_strips import check_strips, strips_of

RNG = np.random.default_rng(0)
BLOCKS = np.kron(RNG.integers(0, 256, (15, 11, 3), np.uint8), np.ones((4, 5, 1), np.uint8))[:57, :53]
"""57 x 53 pixels: no side is a multiple of 2 or 16."""
COMPRESSIONS = {"raw": 1, "tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773, "jpeg": 7}


def encoded(pixels, compression, rows=7, tags=None):
    buffer = io.BytesIO()
    options = {"compression": compression, "tiffinfo": {278: rows, **(tags or {})}}
    Image.fromarray(pixels).save(buffer, "TIFF", **options)
    return buffer.getvalue()


def written(pixels, **options):
    """A file of tifffile: contiguous, in strips of 10 rows, unless told otherwise."""
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
    buffer = io.BytesIO()
    options = {"rowsperstrip": 10, "metadata": None, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def with_tag(file, tag, value):
    """The file with another first value of a tag of type SHORT or LONG."""
    changed = bytearray(file)
    kind, _, position = read_directory(file).entries[tag]
    struct.pack_into("<H" if kind == 3 else "<I", changed, position, value)
    return bytes(changed)


def with_new_tag(pixels, tag, values, **options):
    """A file of tifffile with a tag of type SHORT that it would not write."""
    file = written(pixels, extratags=[(337, 3, len(values), values, True)], **options)
    return file.replace(struct.pack("<HHI", 337, 3, len(values)), struct.pack("<HHI", tag, 3, len(values)))


class TestPreviews:
    """The coordinates of a preview, a sixteenth of the photo, are those of no other program."""

    @pytest.mark.parametrize("bigtiff", [False, True])
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_the_preview_of_another_picture_is_refused(self, tmp_path, bigtiff, order):
        tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
        for name, apart in (("camera.dng", 1), ("pages.tif", 0)):
            with tifffile.TiffWriter(tmp_path / name, bigtiff=bigtiff, byteorder=order) as writer:
                writer.write(BLOCKS[::4, ::4], subfiletype=1, subifds=apart, photometric="rgb")
                writer.write(BLOCKS, subfiletype=0, photometric="rgb")
            with pytest.raises(ImageError, match=r"preview of another one, as in raw files .*; convert it"):
                load_image(tmp_path / name)

    def test_a_picture_before_its_previews_and_a_preview_alone_are_read(self, tmp_path):
        tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
        path = tmp_path / "pyramid.tif"
        with tifffile.TiffWriter(path) as writer:
            writer.write(BLOCKS, photometric="rgb", subifds=1)
            writer.write(BLOCKS[::4, ::4], subfiletype=1, photometric="rgb")
        np.testing.assert_array_equal(load_image(path), BLOCKS)
        tifffile.imwrite(path, BLOCKS, photometric="rgb", subfiletype=1)
        np.testing.assert_array_equal(load_image(path), BLOCKS)


class TestCompressions:
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (6, "old JPEG"),
            (32809, "ThunderScan"),
            (33003, "JPEG 2000"),
            (33005, "JPEG 2000"),
            (34676, "LogLuv"),
            (34712, "JPEG 2000"),
            (34887, "LERC"),
            (34925, "LZMA"),
            (50000, "Zstandard"),
            (50001, "WebP"),
            (50002, "JPEG XL"),
            (12345, "unknown"),
        ],
    )
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_others_are_refused_by_name_and_tag(self, value, name, dtype):
        """Eight bits came out black, and objects were found in it."""
        file = with_tag(written(BLOCKS.astype(dtype), photometric="rgb"), 259, value)
        with pytest.raises(ImageError, match=rf"{name} compression \(tag 259: {value}\), 3 x .*RGB"):
            load_image(file)

    @pytest.mark.parametrize("compression", COMPRESSIONS)
    @pytest.mark.parametrize("rows", [8, 57])
    def test_every_strip_is_counted_and_the_picture_is_pillows(self, compression, rows):
        file = encoded(BLOCKS, compression, rows)
        directory = read_directory(file)
        check_strips(directory)
        assert len(list(strips_of(directory))) >= 1
        assert np.abs(load_image(file).astype(int) - np.asarray(Image.open(io.BytesIO(file)))).max() <= 1

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @pytest.mark.parametrize("predictor", [1, 2])
    def test_our_own_decoder_reads_what_was_written(self, compression, predictor):
        noise = RNG.integers(0, 256, (61, 203, 3), np.uint8)  # long enough for codes of 12 bits and a cleared table
        flat = np.zeros((61, 203, 3), np.uint8)  # the longest strings
        for pixels in (BLOCKS, noise, flat):
            tags = {317: predictor} if "lzw" in compression or "deflate" in compression else {}
            np.testing.assert_array_equal(read_bands(read_directory(encoded(pixels, compression, 61, tags))), pixels)

    def test_a_strip_without_bytes_is_damage(self):
        """GDAL leaves out blocks that hold nothing, which libtiff shows as black."""
        file = encoded(BLOCKS, "tiff_lzw", 57)
        with pytest.raises(ImageError, match=r"strip or tile 0 of the TIFF is damaged"):
            load_image(with_tag(file, 279, 0))

    @pytest.mark.parametrize(
        ("tag", "value", "words"), [(262, 2, "signed integer"), (262, 8, "CIE Lab"), (262, 6, "YCbCr")]
    )
    def test_samples_and_colours_are_named(self, tag, value, words):
        pixels = BLOCKS.astype(np.int16 if words.startswith("signed") else np.uint16)
        file = with_tag(written(pixels, photometric="rgb"), tag, value)
        with pytest.raises(ImageError, match=rf"3 x 16 bits .*{words}"):
            load_image(file)


class TestBands:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
    @pytest.mark.parametrize("tile", [None, (64, 80)])
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    def test_three_bands_are_rgb_whatever_the_tag_says(self, dtype, planar, photometric, tile, byteorder):
        """As rasterio writes them by default they were (124, 124, 124) for (200, 100, 50), or the first band alone."""
        white = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
        pixels = np.zeros((40, 50, 3), dtype)
        pixels[:] = np.array([200, 100, 50]) * (white / 255)
        pixels[:20, :, 1] = 0
        stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
        options = {"planarconfig": planar, "photometric": photometric, "byteorder": byteorder}
        options |= {"tile": tile, "rowsperstrip": None} if tile else {}
        file = written(stored, **options)
        loaded = load_image(file)
        assert loaded.shape == (40, 50, 3)
        assert loaded[0, 0].tolist() == [200, 0, 50]
        assert loaded[39, 49].tolist() == [200, 100, 50]
        assert load_image(file, bands=(3, 2, 1))[39, 49].tolist() == [50, 100, 200]
        assert load_image(file, bands=[2])[39, 49].tolist() == [100, 100, 100]

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    def test_any_number_of_bands(self, planar):
        values = np.arange(1, 9) * 257 * 20  # 20, 40, ... 160 of 255
        pixels = np.broadcast_to(values.astype(np.uint16), (30, 20, 8)).copy()
        stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
        file = written(stored, planarconfig=planar, photometric="minisblack")
        assert load_image(file)[0, 0].tolist() == [20, 40, 60]
        assert load_image(file, bands=np.array([8, 4, 2]))[29, 19].tolist() == [160, 80, 40]
        with pytest.raises(OptionError, match="from 1 to 8, got 9"):
            load_image(file, bands=(1, 2, 9))

    @pytest.mark.parametrize("predictor", [True, False])
    def test_predictors_of_floats_and_integers(self, predictor):
        codecs = pytest.importorskip("imagecodecs", reason="tifffile compresses with it")
        assert codecs
        for dtype in (np.uint16, np.float32):
            pixels = (
                RNG.random((30, 20, 3)).astype(np.float32) if dtype == np.float32 else BLOCKS.astype(np.uint16) * 257
            )
            file = written(
                pixels, photometric="minisblack", planarconfig="contig", compression="zlib", predictor=predictor
            )
            np.testing.assert_array_equal(read_bands(read_directory(file)), pixels)

    def test_of_many_bands_that_are_called_rgb_the_first_three_are(self):
        """OpenCV refuses them."""
        pixels = np.broadcast_to((np.arange(1, 7) * 257 * 20).astype(np.uint16), (30, 20, 6)).copy()
        file = written(pixels, photometric="rgb", planarconfig="contig", extrasamples=["unspecified"] * 3)
        assert load_image(file)[29, 19].tolist() == [20, 40, 60]

    @pytest.mark.parametrize("bands", [5, 6])
    def test_so_they_are_of_8_bits(self, bands):
        pixels = RNG.integers(0, 256, (30, 20, bands), np.uint8)
        file = written(pixels, photometric="rgb", planarconfig="contig", extrasamples=["unspecified"] * (bands - 3))
        np.testing.assert_array_equal(load_image(file), pixels[..., :3])

    @pytest.mark.parametrize(
        ("photometric", "bits"), [("palette", 1), ("palette", 2), ("minisblack", 2), ("minisblack", 4)]
    )
    def test_few_bits_of_which_opencv_gives_no_colours_are_named(self, photometric, bits):
        options = {"photometric": photometric, "bitspersample": 8}
        if photometric == "palette":
            options["colormap"] = RNG.integers(0, 65536, (3, 256), np.uint16)
        file = with_tag(written(np.zeros((30, 24), np.uint8), **options), 258, bits)
        with pytest.raises(ImageError, match=rf"TIFF with .*1 x {bits} bits.* is not read; convert it to PNG"):
            load_image(file)

    def test_the_predictor_of_floats(self):
        """A row is all highest bytes, then all next ones, as differences (Adobe's TIFF technical note 3)."""
        pixels = RNG.random((30, 20, 3)).astype(np.float32)
        file = with_new_tag(pixels, 317, (3,), photometric="rgb", planarconfig="contig", rowsperstrip=30)
        rows = pixels.astype(">f4").view(np.uint8).reshape(30, 60, 4).transpose(0, 2, 1).reshape(30, 80, 3)
        body = zlib.compress(np.diff(rows, axis=1, prepend=np.uint8(0)).tobytes())
        for tag, value in ((259, 8), (273, len(file)), (279, len(body))):
            file = with_tag(file, tag, value)
        file += body
        libtiffs = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(libtiffs[..., ::-1], pixels)
        np.testing.assert_array_equal(read_bands(read_directory(file)), pixels)
        with pytest.raises(ImageError, match="not read; convert it to PNG"):
            load_image(with_tag(file, 317, 2), bands=(1, 2, 3))

    @pytest.mark.parametrize("tag", [258, 339])
    def test_bands_that_differ_in_bits_or_format_are_refused(self, tag):
        """They were read as if all were like the first: (10, 20000, 30) of 8, 16 and 8 bits as (10, 32, 78)."""
        file = with_new_tag(BLOCKS, 339, (1, 1, 1), photometric="minisblack", planarconfig="contig")
        assert load_image(file).tolist() == BLOCKS.tolist()
        changed = bytearray(file)
        _, count, position = read_directory(file).entries[tag]
        assert count == 3
        struct.pack_into("<H", changed, position + 2, {258: 16, 339: 3}[tag])
        for bands in (None, (1, 2, 3)):
            with pytest.raises(ImageError, match="not read; convert it to PNG"):
                load_image(bytes(changed), bands=bands)

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    def test_an_alpha_that_no_sample_holds_is_none(self, planar):
        """With planes apart the picture came out white."""
        pixels = np.full((20, 30, 3), 65535 // 5, np.uint16)
        stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
        file = with_new_tag(stored, 338, (2,), planarconfig=planar, photometric="rgb")
        assert read_directory(file).first(338, 0) == 2
        np.testing.assert_array_equal(load_image(file), np.full((20, 30, 3), 51))

    @pytest.mark.parametrize("compression", ["raw", "packbits"])
    def test_compressions_without_predictor_have_none(self, compression):
        """Other readers overlook the tag there; chosen bands were summed up."""
        file = encoded(BLOCKS, compression, tags={317: 2})
        assert read_directory(file).first(317, 1) == 2
        np.testing.assert_array_equal(load_image(file), BLOCKS)
        np.testing.assert_array_equal(load_image(file, bands=(1, 2, 3)), BLOCKS)

    @pytest.mark.parametrize("bands", [(0, 1, 2), (1, 2), "123", (1, 2, 3, 4), 5, (True, 1, 2), (1.0, 2, 3)])
    def test_other_choices_are_refused(self, bands):
        with pytest.raises(OptionError, match="band"):
            load_image(written(BLOCKS, photometric="rgb"), bands=bands)

    def test_only_tiff_has_bands_to_choose(self):
        buffer = io.BytesIO()
        Image.fromarray(BLOCKS).save(buffer, "PNG")
        for source in (buffer.getvalue(), BLOCKS, Image.fromarray(BLOCKS)):
            with pytest.raises(OptionError, match="bands are not for"):
                load_image(source, bands=(3, 2, 1))


class TestWhite:
    def test_twelve_bits_are_told_and_stretched(self, caplog):
        pixels = np.zeros((4, 6, 3), np.uint16)
        pixels[:] = (4095, 2048, 0)
        for source in (
            pixels,
            written(pixels, photometric="rgb"),
            written(pixels, photometric="minisblack", planarconfig="contig"),
        ):
            caplog.clear()
            with caplog.at_level(logging.WARNING, "fastsam_onnx"):
                assert load_image(source)[0, 0].tolist() == [16, 8, 0]  # 4095 / 257 = 15.93, 2048 / 257 = 7.97
            [record] = caplog.records
            assert "reach 4095 of 65535" in record.getMessage()
            assert "white=4095" in record.getMessage()
            caplog.clear()
            assert load_image(source, white=4095)[0, 0].tolist() == [255, 128, 0]  # 2048 * 255 / 4095 = 127.53
            assert not caplog.records

    def test_reflectances_and_floats(self):
        assert load_image(np.array([[10_000, 5_000, 30_000]], np.uint16), white=10_000)[0, :, 0].tolist() == [
            255,
            128,
            255,
        ]
        assert load_image(np.array([[-3.0, 25.0, 400.0]]), white=100)[0, :, 0].tolist() == [0, 64, 255]  # 63.75
        assert load_image(np.array([[10, 50]], np.uint8), white=100)[0, :, 0].tolist() == [26, 128]

    def test_what_reaches_further_is_not_told(self, caplog):
        load_image(np.array([[4096, 0]], np.uint16))
        load_image(np.zeros((3, 3), np.uint16))  # black is black
        assert not caplog.records

    @pytest.mark.parametrize("white", [0, -1, float("nan"), True, "4095"])
    def test_white_must_be_a_number_above_0(self, white):
        with pytest.raises(OptionError, match="white must be a number"):
            load_image(BLOCKS, white=white)

    @pytest.mark.parametrize(("samples", "white"), [(np.uint8, 256), (np.uint8, 4095), (np.uint16, 65536)])
    def test_white_above_all_that_samples_can_be_is_refused(self, samples, white):
        """The picture came out dark; in a folder of pictures of 12 bits one of 8 may lie."""
        with pytest.raises(
            ImageError, match=rf"uint(8|16), of which white can be \d+ at most, got white={white}; leave"
        ):
            load_image(np.ones((3, 4, 3), samples), white=white)
        load_image(np.ones((3, 4, 3), samples), white=np.iinfo(samples).max)


class TestDamage:
    """What is read from a damaged file is what another strict reader reads, or it is refused; never black or noise."""

    @staticmethod
    def outcome(file):
        try:
            loaded = load_image(file, pixel_limit=1_000_000)
        except ImageError:
            return "refused"
        # Bytes that were changed and are valid still: no checksum tells. libtiff through Pillow reads the same.
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reference = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        except Exception:
            return "silent"
        return "right" if np.array_equal(loaded, reference) else "silent"

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @given(data=st.data())
    @settings(deadline=None, max_examples=150, derandomize=True)
    def test_bytes_of_strips_zeroed_or_changed_or_cut(self, compression, data):
        file = bytearray(encoded(BLOCKS, compression))
        strips = list(strips_of(read_directory(bytes(file))))
        strip = data.draw(st.sampled_from(strips))
        kind = data.draw(st.sampled_from(["zeros", "noise", "byte", "cut"]))
        at = data.draw(st.integers(0, strip.size - 1))
        length = data.draw(st.integers(1, strip.size - at))
        if kind == "cut":
            del file[strip.offset + at :]
        else:
            value = {"zeros": bytes(length), "noise": data.draw(st.binary(min_size=length, max_size=length))}.get(
                kind, bytes([data.draw(st.integers(0, 255))])
            )
            file[strip.offset + at : strip.offset + at + len(value)] = value
        assert self.outcome(bytes(file)) in ("right", "refused")

    @pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @pytest.mark.parametrize("mode", ["RGB", "L", "1"])
    def test_a_zeroed_strip_is_refused_in_every_kind_of_picture(self, compression, mode):
        file = bytearray(encoded(np.asarray(Image.fromarray(BLOCKS).convert(mode)), compression))
        strip = list(strips_of(read_directory(bytes(file))))[-2]
        file[strip.offset : strip.offset + strip.size] = bytes(strip.size)
        with pytest.raises(ImageError, match=r"strip or tile .* of the TIFF is damaged"):
            load_image(bytes(file))

    def test_deflate_without_its_checksum_is_refused_as_that(self):
        file = encoded(BLOCKS, "tiff_adobe_deflate")
        with pytest.raises(ImageError, match=r"strip or tile 0 .* Deflate stream, with the checksum, is missing"):
            load_image(with_tag(file, 279, read_directory(file).first(279, 0) - 4))

    def test_packbits_whose_last_run_is_cut_short_is_refused_as_that(self):
        file = encoded(RNG.integers(0, 256, (57, 53), np.uint8), "packbits")
        with pytest.raises(ImageError, match=r"strip or tile 0 .* last run is cut short"):
            load_image(with_tag(file, 279, read_directory(file).first(279, 0) - 1))

    @pytest.mark.parametrize("bands", [None, (1, 2, 3)])
    def test_bytes_that_say_nothing_in_packbits_are_passed_over(self, bands):
        """128, by TIFF 6.0; here before and behind the runs."""
        file = encoded(BLOCKS, "packbits", 57)
        [strip] = strips_of(read_directory(file))
        runs = file[strip.offset : strip.offset + strip.size]
        file = with_tag(with_tag(file + b"\x80" + runs + b"\x80", 273, len(file)), 279, len(runs) + 2)
        np.testing.assert_array_equal(load_image(file, bands=bands), BLOCKS)

    def test_a_bomb_is_stopped_at_the_bytes_of_its_strip(self):
        import zlib

        bomb = zlib.compress(bytes(50_000_000))
        file = bytearray(written(np.zeros((200, 300), np.uint8), photometric="minisblack", rowsperstrip=200))
        directory = read_directory(bytes(file))
        offset = directory.layout.places[0][0]
        file[offset : offset + len(bomb)] = bomb
        file = with_tag(with_tag(bytes(file), 259, 8), 279, len(bomb))
        assert not load_image(file).any()  # more than it needs, of which only the beginning counts

    @pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
    def test_no_more_is_unpacked_than_a_strip_needs(self, compression):
        """A file of 214 kB, with a strip of 1.2 kB when it is unpacked, took 579 MB."""
        noise = RNG.integers(0, 256, (12_000, 300), np.uint8)
        file = with_tag(with_tag(encoded(noise, compression, 12_000), 257, 20), 278, 20)
        tracemalloc.start()
        rows = read_bands(read_directory(file))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_array_equal(rows[..., 0], noise[:20])
        assert peak < 1.5 * len(file)

    def test_a_huge_strip_is_refused_before_it_is_unpacked(self):
        """The limit of pixels does not count bands: a file of 98 kB with 400 of them took 201 MB."""
        file = written(np.zeros((20, 30, 8), np.uint8), photometric="minisblack", planarconfig="contig")
        for tag, value in ((256, 13_000), (257, 13_000), (278, 13_000), (259, 8)):
            file = with_tag(file, tag, value)
        with pytest.raises(ImageError, match=r"0 of the TIFF has 1352000000 bytes, .* smaller strips or tiles"):
            load_image(file)

    def test_no_more_strips_are_read_than_the_picture_has(self):
        """32 MB of them beside 10 x 10 pixels took 15 s and 2.8 GB."""
        file = with_tag(written(BLOCKS, photometric="rgb"), 257, 10)
        assert len(read_directory(file).layout.places) == 1
        np.testing.assert_array_equal(load_image(file), BLOCKS[:10])

    def test_lengths_of_strips_that_the_file_does_not_say(self):
        """They end where the next begins; that of 40,000 strips was looked for in all of them, 5 s a time."""
        file = written(BLOCKS, photometric="rgb")
        expected = read_directory(file).layout.places
        entry = file.index(struct.pack("<HH", 279, read_directory(file).entries[279][0]))
        nameless = file[:entry] + struct.pack("<H", 60000) + file[entry + 2 :]
        assert read_directory(nameless).layout.places[:-1] == expected[:-1]
        np.testing.assert_array_equal(load_image(nameless, bands=(1, 2, 3)), BLOCKS)

    @given(st.data())
    @settings(deadline=None, max_examples=200, derandomize=True)
    def test_any_byte_changed_gives_a_picture_or_an_image_error(self, data):
        file = bytearray(written(BLOCKS.astype(np.uint16), photometric="minisblack"))
        file[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
        try:
            loaded = load_image(bytes(file), pixel_limit=1_000_000)
        except ImageError:
            return
        assert loaded.dtype == np.uint8
        assert tiff_parts(bytes(file)) is None or loaded.ndim == 3


class TestFax:
    """Codes of one bit a pixel, which have no checksum: a row whose runs do not fill it is damage."""

    KINDS = (("tiff_ccitt", 0), ("group3", 0), ("group3", 1), ("group3", 4), ("group3", 5), ("group4", 0))

    @staticmethod
    def page(draw):
        """Runs of one to thousands of pixels, alike or not from row to row."""
        width, height = int(draw.integers(1, 3000)), int(draw.integers(1, 40))
        scale = int(draw.choice([1, 2, 5, 40, 400, 3000]))
        page = np.repeat(draw.random((height, width // scale + 1)) < 0.5, scale, 1)[:, :width]
        return page if draw.random() < 0.6 else np.repeat(page[:1], height, 0) ^ (draw.random(page.shape) < 0.002)

    @pytest.mark.parametrize(("compression", "options"), KINDS)
    @pytest.mark.parametrize("photometric", [0, 1])
    def test_healthy_pages_are_read_and_damaged_ones_are_not_taken_for_healthy(self, compression, options, photometric):
        draw, refused = np.random.default_rng(options + photometric), 0
        for _ in range(10):
            page = self.page(draw)
            rows = int(draw.integers(1, len(page) + 1))
            file = encoded(page, compression, rows, {262: photometric, **({292: options} if options else {})})
            np.testing.assert_array_equal(load_image(file)[..., 0] > 0, np.asarray(Image.open(io.BytesIO(file))))
            changed = bytearray(file)
            strip = draw.choice(list(strips_of(read_directory(file))))
            at = int(draw.integers(strip.size))
            size = int(draw.integers(1, strip.size - at + 1))
            changed[strip.offset + at : strip.offset + at + size] = bytes(size) if size % 2 else draw.bytes(size)
            outcome = TestDamage.outcome(bytes(changed))
            assert outcome in ("right", "refused")
            refused += outcome == "refused"
        assert refused > 5
