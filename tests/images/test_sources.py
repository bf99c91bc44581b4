"""Many photos: which files of a folder count, and what is not a source of photos."""

import numpy as np
import pytest

from fastsam_onnx import ImageError, OptionError
from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.sources import open_sources, pictures_of_folder


def test_pictures_that_are_not_read_are_refused_by_name_and_not_passed_over(tmp_path):
    heads = {
        "a.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 is not read"),
        "b.heic": (b"\0\0\0\x18ftypheic", "HEIC is not read"),
        "c.jxl": (b"\xff\x0a", "JPEG XL is not read"),
        "D.HEIF": (b"\0\0\0\x18ftypmif1", "HEIC is not read"),
    }
    for name, (head, _) in heads.items():
        (tmp_path / name).write_bytes(head)
    (tmp_path / "notes.txt").write_text("not a picture")
    found = pictures_of_folder(tmp_path)
    assert sorted(path.name for path in found) == sorted(heads)
    for path in found:
        with pytest.raises(ImageError, match=heads[path.name][1]):
            load_image(path)
    assert [*open_sources(tmp_path)[0]] == found


def test_an_empty_path_is_not_the_folder_of_the_moment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match="cannot read '': the path is empty"):
        open_sources("")
    assert [*open_sources(".")[0]] == []


def test_a_folder_without_pictures_is_warned_of(tmp_path, caplog):
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [*open_sources(tmp_path)[0]] == []
    assert caplog.messages == [f"{tmp_path}: no pictures in this folder"]


def test_raw_files_and_other_pictures_that_are_not_read_are_counted_in_a_warning(tmp_path, caplog):
    for name in ("a.jpg", "a.NEF", "b.nef", "c.dng", "._c.dng", "notes.txt", "a.svg"):
        (tmp_path / name).write_bytes(b"II*\0")
    (tmp_path / "more.nef").mkdir()
    assert [*open_sources(tmp_path)[0]] == [tmp_path / "a.jpg"]
    what = f"{tmp_path}: 3 pictures are passed over (1 .dng, 2 .nef): raw files of cameras are not read; convert them"
    assert caplog.messages == [f"{what} to JPEG, PNG or TIFF"]
    caplog.clear()
    for name in ("d.psd", "a.layers.psd"):  # this package wrote the second
        (tmp_path / name).write_bytes(b"8BPS")
    open_sources(tmp_path)
    assert "4 pictures are passed over (1 .dng, 2 .nef, 1 .psd): such files are not read" in caplog.text


def test_a_jpeg_may_have_the_suffix_that_windows_gives_it(tmp_path):
    (tmp_path / "a.jfif").write_bytes(b"\xff\xd8")
    assert pictures_of_folder(tmp_path) == [tmp_path / "a.jfif"]


def test_a_name_that_no_disk_takes_is_missing():
    with pytest.raises(ImageError, match="no such folder"):
        open_sources("a" * 5000)


@pytest.mark.parametrize("source", [True, np.True_, None, 1.5, np.zeros((4, 4, 3), np.uint8), b"jpeg"])
def test_what_is_no_row_of_photos_is_refused(source):
    """True is no number of a camera."""
    with pytest.raises(OptionError, match="; put one photo in a list"):
        open_sources(source)
