"""The folder of cut-outs: replaced whole, and only where it holds nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.command_line import listing

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError, OutputError


def test_a_cut_out_may_be_webp_whose_alpha_is_exact(sample, tmp_path):
    sample.save(tmp_path / "a.cutout.webp", soft=True)
    head = (tmp_path / "a.cutout.webp").read_bytes()[:12]
    assert (head[:4], head[8:]) == (b"RIFF", b"WEBP")
    written = cv2.imread(str(tmp_path / "a.cutout.webp"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written[..., 3], sample.cutout(soft=True)[..., 3])
    with pytest.raises(OptionError, match=r"must be one of \.png, \.webp, got '\.jpg'"):
        sample.save(tmp_path / "a.jpg", format="cutout")
    assert listing(tmp_path) == ["a.cutout.webp"]


def test_a_cut_out_without_objects_is_a_picture_of_nothing(sample, tmp_path):
    """A picture has pixels; a photo in which nothing was found stops no run of many."""
    width, height = sample.image_size
    sample[:0].save(tmp_path / "none.cutout.png", image=sample.image)
    picture = cv2.imread(str(tmp_path / "none.cutout.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (height, width, 4)
    assert not picture.any()


def test_cutouts_replace_older_cutouts_but_no_other_files(sample, tmp_path):
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)
    assert listing(path) == [f"object-000{index}.png" for index in range(5)]
    formats.save(sample[:2], path)
    assert listing(path) == ["object-0000.png", "object-0001.png"]
    for name in ("notes.txt", "object-0001.png.old"):
        (path / name).write_text("mine")
        with pytest.raises(OutputError, match=re.escape(name)):
            formats.save(sample, path)
        assert listing(path) == sorted([name, "object-0000.png", "object-0001.png"])
        (path / name).unlink()
    assert listing(tmp_path) == ["a.cutouts"]


def test_cutouts_fill_an_empty_folder_of_any_name(sample, tmp_path):
    (tmp_path / "parts").mkdir()
    formats.save(sample, tmp_path / "parts", format="cutouts")
    assert len(listing(tmp_path / "parts")) == 5


def test_files_have_the_photos_colours_on_the_object_and_nothing_beside_it(sample, tmp_path):
    formats.save(sample, tmp_path / "a.cutouts")
    for index, mask in enumerate(sample.masks):
        read = cv2.imread(str(tmp_path / "a.cutouts" / f"object-000{index}.png"), cv2.IMREAD_UNCHANGED)
        tight = mask.tight()
        blue, green, red = np.moveaxis(sample.image[tight.slices][..., ::-1] * tight.crop[..., None], 2, 0)
        np.testing.assert_array_equal(read, np.stack([blue, green, red, tight.crop * np.uint8(255)], axis=2))


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_cutouts_go_where_a_link_leads(sample, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "a.cutouts").symlink_to(tmp_path / "real")
    formats.save(sample, tmp_path / "a.cutouts")
    assert (tmp_path / "a.cutouts").is_symlink()
    assert len(listing(tmp_path / "real")) == 5


def test_cutouts_do_not_replace_a_file(sample, tmp_path):
    (tmp_path / "a.cutouts").write_text("mine")
    with pytest.raises(OutputError, match="folder"):
        formats.save(sample, tmp_path / "a.cutouts")


def test_cutouts_that_fail_leave_the_older_ones(sample, tmp_path, monkeypatch):
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)

    def breaking(found, photo, *, soft, whole):
        raise MemoryError

    monkeypatch.setattr("fastsam_onnx.formats.cutouts.cutout", breaking)
    with pytest.raises(MemoryError):
        formats.save(sample, path)
    assert listing(tmp_path) == ["a.cutouts"]
    assert len(listing(path)) == 5


@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), KeyboardInterrupt()])
def test_older_cutouts_come_back_when_the_new_ones_cannot_take_their_place(sample, tmp_path, monkeypatch, error):
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)
    rename = Path.rename

    def failing(self, target):
        if self.suffix == ".part":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((OutputError, KeyboardInterrupt), match=r"a\.cutouts: Permission denied|^$"):
        formats.save(sample[:2], path)
    assert listing(tmp_path) == ["a.cutouts"]
    assert len(listing(path)) == 5


def test_older_cutouts_are_not_removed_where_they_cannot_come_back(sample, tmp_path, monkeypatch):
    """A folder that becomes read-only between the two renames."""
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)
    rename = Path.rename

    def failing(self, target):
        if self != path:
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match=r"a\.cutouts: Permission denied"):
        formats.save(sample[:2], path)
    [old] = tmp_path.glob(".*.old")
    assert len(listing(old)) == 5
