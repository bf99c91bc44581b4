"""The one reader of packed photos: what belongs together, in which order, and what is said where nothing lies."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest


@pytest.fixture(scope="module")
def sets(load_tool):
    return load_tool("sets")


def pack(tar, names):
    """Files whose content is their name, in this order."""
    tar.parent.mkdir(exist_ok=True)
    with tarfile.open(tar, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


def write_lines(path, names):
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"file": name}) + "\n" for name in names)


def test_photos_come_with_their_lines_in_the_order_of_the_lines(sets, tmp_path):
    """Whatever the order of the tar; a photo without a line stays out."""
    pack(tmp_path / "photos-000.tar", ["a", "b", "c"])
    write_lines(tmp_path / "masks.jsonl.gz", ["c", "a"])
    assert list(sets.labelled(tmp_path)) == [(b"c", {"file": "c"}), (b"a", {"file": "a"})]


def test_each_tar_has_the_masks_of_its_number(sets, tmp_path):
    for number, name in (("000", "a"), ("001", "b")):
        pack(tmp_path / f"photos-{number}.tar", [name])
        write_lines(tmp_path / f"masks-{number}.jsonl.gz", [name])
    assert [photo for photo, _ in sets.labelled(tmp_path)] == [b"a", b"b"]


def test_photos_without_masks_come_in_the_order_of_the_tar(sets, tmp_path):
    pack(tmp_path / "photos-000.tar", ["b", "a"])
    [tar] = sets.archives(tmp_path)
    assert list(sets.photos_of(tar)) == [("b", b"b"), ("a", b"a")]


def test_what_is_missing_is_named(sets, tmp_path):
    with pytest.raises(SystemExit, match="has no folder dense"):
        sets.folder_of(tmp_path, "dense")
    with pytest.raises(SystemExit, match="has no folder nowhere"):
        list(sets.labelled(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"empty must hold photos-\*\.tar"):
        list(sets.labelled(tmp_path / "empty"))
