"""What every format does, and the files."""

from __future__ import annotations

import inspect
import json
import os
import re
import stat
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.command_line import listing

from fastsam_onnx import formats
from fastsam_onnx.draw import overlay
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.formats.pictures import picture_bytes
from fastsam_onnx.formats.registry import FormatKeywords
from fastsam_onnx.formats.text import numbers
from fastsam_onnx.images.sources import PICTURE_SUFFIXES, RESULT_SUFFIXES
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.serve import request


@pytest.mark.parametrize("name", [name for name, kind in formats.FORMATS.items() if not kind.folder])
def test_no_objects_and_masks_without_pixels_can_be_written(name):
    photo = np.zeros((6, 8, 3), np.uint8)
    for masks in ([], [Mask.empty((8, 6))]):
        found = Segmentation.from_masks(masks, image_size=(8, 6), image=photo)
        assert formats.encode(found, name) or name == "yolo"  # its file of a photo without objects is empty
    assert not list(formats.to_cutouts(found))


@pytest.mark.parametrize(
    ("side", "suffix", "advice"),
    [
        (16_383, ".webp", None),
        (16_384, ".webp", r"must be at most 16383 pixels; take \.png$"),
        (65_500, ".jpg", None),
        (65_501, ".jpeg", r"must be at most 65500 pixels; take \.png$"),
        (1_000_000, ".png", None),
        (1_000_001, ".png", "must be at most 1000000 pixels$"),
        (1_000_001, ".webp", "must be at most 16383 pixels$"),
    ],
)
@pytest.mark.parametrize("upright", [False, True])
def test_pictures_are_as_large_as_their_files_may_be(side, suffix, advice, upright):
    picture = np.zeros((side, 1, 3) if upright else (1, side, 3), np.uint8)
    if advice is None:
        assert picture_bytes(picture, suffix)
        return
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    with pytest.raises(OutputError, match=rf"a {size} picture cannot be written as {suffix}: .*{advice}"):
        picture_bytes(picture, suffix)


def test_editors_and_type_checkers_know_the_options_of_save():
    """They took any word, such as alhpa=0.3, which is an error of the run."""
    known = {option for kind in formats.FORMATS.values() for option in kind.options}
    assert set(FormatKeywords.__annotations__) == known


def test_programs_give_options_to_the_formats_that_have_them():
    """The command line and the server each had a list of their own."""
    assert set(formats.registry.WRITTEN) == set(request.WRITTEN)
    for option, (_, forms) in formats.registry.WRITTEN.items():
        having = {name for name, kind in formats.FORMATS.items() if option in kind.options}
        assert having - set(forms) == ({"json"} if option == "tolerance" else set())  # polygons, where those are asked
        assert set(forms) <= having


def test_the_overlay_of_a_result_has_the_options_of_the_function():
    _, *own = inspect.signature(Segmentation.overlay).parameters.values()
    _, *drawn = inspect.signature(overlay).parameters.values()
    assert own == drawn


@pytest.mark.parametrize("name", formats.FORMATS)
def test_each_mask_is_rendered_once(name, sample):
    class Row:
        def __init__(self, mask: Mask) -> None:
            self.mask, self.asked = mask, 0

        def render(self) -> Mask:
            self.asked += 1
            return self.mask

    rows = tuple(Row(mask) for mask in sample.masks)
    masks = Masks(rows, sample.image_size)
    found = Instances(boxes=sample.boxes, scores=sample.scores, masks=masks, image=sample.image)
    content = formats.FORMATS[name].make(found)
    if formats.FORMATS[name].folder:
        list(content)
    assert [row.asked for row in rows] == [1] * len(rows)


@pytest.mark.parametrize(
    ("name", "options"),
    [("json", {"masks": "dense"}), ("sam", {"output_mode": "binary_mask"}), ("overlay", {"alpha": 2})],
)
def test_options_that_mean_nothing_are_refused(name, options, sample):
    with pytest.raises(OptionError, match=next(iter(options))):
        formats.encode(sample, name, **options)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_what_is_no_result_is_told_as_such(name, tmp_path):
    for wrong in ([], None, np.zeros((4, 4), bool)):
        for write in (partial(formats.save, path=tmp_path / "a", format=name), formats.FORMATS[name].make):
            with pytest.raises(OptionError, match="found must be"):
                list(write(wrong))
    assert not listing(tmp_path)


def test_what_is_no_format_is_told_as_such():
    """It was a KeyError, 'j' of "json"."""
    for wrong in ("json", ["json", "jpeg"]):
        with pytest.raises(OptionError, match="format must be one of"):
            formats.suffixes_beside_photos(wrong)


def test_a_server_can_send_every_format():
    for kind in formats.FORMATS.values():
        assert kind.media_types
        accepted = {".zip"} if kind.folder else {Path("x" + suffix).suffix for suffix in kind.suffixes}
        assert set(kind.media_types) <= accepted


def test_results_are_not_taken_for_photos_of_their_folder():
    kinds = formats.FORMATS.values()
    own = [suffix for kind in kinds for suffix in kind.suffixes if suffix.count(".") == 2 or kind.folder]
    shown = (*PICTURE_SUFFIXES, ".psd")  # which is passed over with a warning
    pictures = [suffix for suffix in own if Path(suffix).stem == suffix or Path(suffix).suffix in shown]
    assert sorted(RESULT_SUFFIXES) == sorted(pictures)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a.PNG", "overlay"),
        ("a.overlay.png", "overlay"),
        ("a.labels.png", "labels"),
        ("a.colours.png", "colours"),
        ("a.voc.png", "voc"),
        ("a.txt", "yolo"),
        ("a.json", "json"),
        ("a.mask.json", "json"),
        ("a.coco.json", "coco"),
        ("a.labelme.json", "labelme"),
        ("a.sam.json", "sam"),
        ("a.svg", "svg"),
        ("a.geojson", "geojson"),
    ],
)
def test_save_by_suffix(name, format_name, sample, tmp_path):
    formats.save(sample, tmp_path / name)
    assert (tmp_path / name).read_bytes() == formats.encode(sample, format_name)
    assert listing(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.cutout.jpg", "a.mask.webp", "A.Labels.JPEG", "a.voc.jpg", "a.edges.webp"])
def test_a_picture_named_like_another_format_is_no_overlay_unless_it_is_said(name, sample, tmp_path):
    form = name.split(".")[1].lower()
    with pytest.raises(OptionError, match=rf"named like the format '{form}', whose files end with \.{form}\.png"):
        formats.save(sample, tmp_path / name)
    assert listing(tmp_path) == []
    formats.save(sample, tmp_path / name, format="overlay")
    formats.save(sample, tmp_path / "a.overlay.jpg")
    formats.save(sample, tmp_path / "clip.mp4#12.png")
    assert listing(tmp_path) == sorted([name, "a.overlay.jpg", "clip.mp4#12.png"])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_save_other_pictures(suffix, sample, tmp_path):
    path = tmp_path / f"a{suffix}"
    formats.save(sample, path, contours=False)
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    difference = np.abs(read[..., ::-1] - overlay(sample, contours=False).astype(int))
    assert difference.mean() < 20  # lossy on purpose; the wrong order of channels gives more than 60


@pytest.mark.parametrize(
    ("picture", "kept"),
    [(np.zeros((2, 2), np.uint16), [".png"]), (np.zeros((2, 2, 4), np.uint8), [".png", ".webp"])],
    ids=["16 bits", "RGBA"],
)
def test_what_a_kind_of_picture_would_spoil_is_refused(picture, kept):
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        if suffix in kept:
            assert picture_bytes(picture, suffix)
            continue
        with pytest.raises(OptionError, match=rf"must be one of {', '.join(kept)}, got '{suffix}'"):
            picture_bytes(picture, suffix)


def test_the_edge_map_is_rounded_to_the_nearest_of_its_bytes(sample):
    data = np.frombuffer(formats.encode(sample, "edges", of="objects", thin=False), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    strength = sample.edges(of="objects", thin=False)
    assert len(np.unique(strength)) > 20
    assert np.abs(read - 255 * strength).max() <= 0.5 + 1e-4


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([-0.001, 0.5], "[0.0, 0.5]"),
        ([-0.001, 1.004], "[0, 1]"),
        ([[1, 2.126]], "[[1.0, 2.13]]"),
        ([2.0**62, -(2.0**62)], f"[{2**62}, {-(2**62)}]"),
        ([2.0**63, 1], f"[{2.0**63!r}, 1.0]"),
        ([1.7e308, 0.126], "[1.7e+308, 0.13]"),
    ],
)
def test_numbers_are_whole_where_all_are(values, written):
    """And zero has no sign."""
    assert json.dumps(numbers(values)) == written


def test_jpeg_and_jpg_are_one(sample):
    assert formats.encode(sample, "overlay", suffix=".jpeg") == formats.encode(sample, "overlay", suffix=".jpg")


def test_save_takes_the_formats_options_and_replaces_what_was_there(sample, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    formats.save(sample, path, format="coco", image_id="139")
    assert {record["image_id"] for record in json.loads(path.read_text())} == {"139"}


@pytest.mark.parametrize(("name", "form"), [("cut.png", "cutouts"), ("a.webp", "json"), ("A.JPG", "svg")])
def test_what_is_no_picture_does_not_end_as_one(name, form, sample, tmp_path):
    """Of cut-outs cut.png was a folder."""
    with pytest.raises(OptionError, match=f"'{name}' ends as a picture.*'{form}'.*end it with .{form}"):
        formats.save(sample, tmp_path / name, format=form)
    assert not listing(tmp_path)


def test_bytes_are_made_as_the_file_would_be(sample):
    with pytest.raises(OptionError, match=r"'json\.png' ends as a picture, and the format 'json' is none"):
        formats.encode(sample, "json", suffix=".png")
    assert formats.encode(sample, "overlay", suffix=".PNG") == formats.encode(sample, "overlay")
    assert formats.encode(sample, "csv", suffix=".text") == formats.encode(sample, "csv")


@pytest.mark.parametrize("name", [".png", ".json", ".coco.json", ".cutouts"])
def test_a_suffix_alone_is_no_name(name, sample, tmp_path):
    with pytest.raises(OptionError, match="suffix"):
        sample.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unknown_suffix_says_what_is_accepted(sample, tmp_path):
    for name in ("a.bmp", "a"):
        with pytest.raises(OptionError, match=r"\.png.*\.geojson.*format=.*cutouts"):
            formats.save(sample, tmp_path / name)
    assert not listing(tmp_path)


def test_unknown_formats_and_options_say_what_there_is(sample, tmp_path):
    with pytest.raises(OptionError, match=r"'overlay', 'labels', 'mask', 'cutout', 'cutouts'.*'yaml'"):
        formats.save(sample, tmp_path / "a.json", format="yaml")
    with pytest.raises(OptionError, match="no option tolerence; it accepts: tolerance, link, seed"):
        formats.save(sample, tmp_path / "a.svg", tolerence=1)
    with pytest.raises(OptionError, match="it accepts: none"):
        formats.save(sample, tmp_path / "a.labels.png", alpha=1)
    with pytest.raises(OptionError, match="folder"):
        formats.encode(sample, "cutouts")


def test_the_help_of_save_names_every_suffix_format_and_option():
    text = inspect.getdoc(formats.save)
    for name, kind in formats.FORMATS.items():
        assert all(suffix in text for suffix in kind.suffixes if suffix != ".overlay.png")
        listed = re.search(rf'"{name}"[^:]*: ([^.]*)\.', text).group(1)
        assert listed.split(", ") == list(kind.options or ["none"])


@pytest.mark.parametrize("name", ["labels", "colours", "voc"])
def test_a_label_map_is_not_written_with_loss(name, sample, tmp_path):
    with pytest.raises(OptionError, match=r"\.png"):
        formats.save(sample, tmp_path / "a.jpg", format=name)


@pytest.mark.parametrize("place", ["missing/a.json", "folder.json"])
def test_a_path_that_cannot_be_written_is_named(place, sample, tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match=re.escape(Path(place).name)):
        formats.save(sample, tmp_path / place)
    assert listing(tmp_path) == ["folder.json"]


def test_nothing_half_written_is_left_when_writing_fails(sample, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"a\.json: No space left"):
        formats.save(sample, path)
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["a.json"]


def test_a_picture_that_the_format_cannot_hold_is_an_output_error(tmp_path):
    found = Segmentation.from_masks([], image_size=(20000, 2), image=np.zeros((2, 20000, 3), np.uint8))
    with pytest.raises(OutputError, match=r"20000x2 .*\.webp"):
        formats.save(found, tmp_path / "a.webp")
    assert not listing(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no modes on Windows")
def test_files_get_the_usual_mode(sample, tmp_path):
    (tmp_path / "usual").write_text("")
    formats.save(sample, tmp_path / "a.json")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_stays_a_link(sample, tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "a.json").symlink_to(tmp_path / "real.json")
    formats.save(sample, tmp_path / "a.json")
    assert (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == formats.encode(sample, "json")


WRITERS = [name for name in formats.__all__ if name.startswith("to_")]


@pytest.mark.parametrize("given", [[], None, {"objects": []}])
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_of_the_objects_of_one_photo(name, given):
    """A list of results, such as of `model.stream`, is several."""
    with pytest.raises(OptionError, match="found must be the objects of one photo"):
        list(getattr(formats, name)(given))
