"""The folder of cut-outs: replaced whole, and only where it holds nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import listing

from fastsam_onnx import formats
from fastsam_onnx.errors import OutputError


def test_cutouts_replace_older_cutouts_but_no_other_files(sample, tmp_path):
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)
    assert listing(path) == [f"object-000{index}.png" for index in range(5)]
    formats.save(sample[:2], path)
    assert listing(path) == ["object-0000.png", "object-0001.png"]
    (path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        formats.save(sample, path)
    assert listing(path) == ["notes.txt", "object-0000.png", "object-0001.png"]
    assert listing(tmp_path) == ["a.cutouts"]


def test_cutouts_fill_an_empty_folder_of_any_name(sample, tmp_path):
    (tmp_path / "parts").mkdir()
    formats.save(sample, tmp_path / "parts", format="cutouts")
    assert len(listing(tmp_path / "parts")) == 5


def test_cutouts_do_not_replace_a_file(sample, tmp_path):
    (tmp_path / "a.cutouts").write_text("mine")
    with pytest.raises(OutputError, match="folder"):
        formats.save(sample, tmp_path / "a.cutouts")


def test_cutouts_that_fail_leave_the_older_ones(sample, tmp_path, monkeypatch):
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)

    def breaking(found, photo):
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
