"""Which labels are a photo's: the longest end of its path decides, and nothing is guessed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.labels import LabelledBoxes, Labels


def labels_of(*names, suffixes=False):
    """Labels of photos of these names, each read at a place of its own."""
    photos = [(name, LabelledBoxes(np.zeros((0, 4)), [], {0: "cat"}, place=f"{name}.txt")) for name in names]
    return Labels(photos, {0: "cat"}, [], has_suffixes=suffixes)


@pytest.mark.parametrize(
    ("names", "photo", "meant"),
    [
        (["a", "b"], "photos/a.jpg", "a"),
        (["train/a", "a"], "photos/train/a.jpg", "train/a"),
        (["train/a", "a"], "photos/other/a.jpg", "a"),
        (["set/train/a", "set/val/a"], "photos/train/a.jpg", "set/train/a"),
        (["train/a"], "photos/a.jpg", "train/a"),
        (["labels/train/a", "labels/val/a"], "set/images/val/a.png", "labels/val/a"),
        (["train/labels/a", "valid/labels/a"], "set/valid/images/a.png", "valid/labels/a"),
        (["a.jpg", "a"], "a.jpg", "a.jpg"),
        (["a.jpg", "a"], "a.png", "a"),
        (["a.b"], "a.b.jpg", "a.b"),
        (["č 1"], "photos/č 1.JPG", "č 1"),
        (["a"], "photos/b.jpg", None),
        (["a"], "a/b.jpg", None),
        (["A"], "a.jpg", None),
    ],
)
def test_the_longest_end_of_the_path(names, photo, meant):
    labels = labels_of(*names)
    assert labels.of(photo).place == (f"{meant}.txt" if meant else "")
    assert (photo in labels) is (meant is not None)
    assert labels.of(photo).names == {0: "cat"}


def test_names_in_a_file_of_all_photos_have_their_suffixes():
    labels = labels_of("images/a.jpg", "images/a.png", suffixes=True)
    assert labels.of("photos/a.png").place == "images/a.png.txt"
    assert "a" not in labels
    assert "a.webp" not in labels


def test_a_relative_path_counts_with_the_folders_above_it(tmp_path, monkeypatch):
    (tmp_path / "val").mkdir()
    monkeypatch.chdir(tmp_path / "val")
    assert labels_of("train/a", "val/a").of(Path("a.jpg")).place == "val/a.txt"
    assert labels_of("train/a", "val/a").of(os.path.join("..", "train", "a.jpg")).place == "train/a.txt"  # noqa: PTH118


def test_labels_of_several_photos_are_not_guessed():
    with pytest.raises(PromptError, match=r"labels of photos/a\.jpg may be train/a\.txt or val/a\.txt; name"):
        labels_of("train/a", "val/a").of("photos/a.jpg")


def test_photos_of_one_name_in_many_folders_are_found_at_once():
    """Frames of 5,000 recordings: each was compared with all others of its name, for minutes."""
    labels = labels_of(*(f"labels/{number}/000001" for number in range(5000)))
    photos = [f"set/images/{number}/000001.png" for number in range(5000)]
    assert labels.lacking([*photos, "set/images/other/2.png"]) == [Path("set/images/other/2.png")]
    assert labels.of(photos[4321]).place == "labels/4321/000001.txt"


def test_photos_without_labels_are_those_that_the_labels_do_not_know():
    labels = labels_of("a", "b")
    assert len(labels) == 2
    assert labels.lacking(["photos/a.jpg", "photos/c.jpg", Path("photos/d.jpg")]) == [
        Path("photos/c.jpg"),
        Path("photos/d.jpg"),
    ]
    assert labels.lacking([]) == []


def test_labels_of_none_of_the_photos_are_told_with_both_names():
    told = r"no photo has labels: they are of 2 photos with names such as 'a', and the photos are 1 such as .*c\.jpg"
    with pytest.raises(PromptError, match=told):
        labels_of("a", "b").lacking(["photos/c.jpg"])


def test_one_label_file_is_not_of_two_photos():
    """a.jpg and a.png, or photos of a folder that the labels do not have."""
    for photos in (["a.jpg", "a.png"], ["train/a.jpg", "val/a.jpg"]):
        with pytest.raises(PromptError, match=r"a\.jpg and .*a\.\w+ would both have the labels a\.txt"):
            labels_of("a").lacking(photos)
    assert labels_of("a").lacking(["a.jpg", "a.jpg"]) == []


@pytest.mark.parametrize("odd", [None, 7, b"a.jpg", "a\0b"])
def test_what_is_no_path_is_refused(odd):
    with pytest.raises(OptionError, match="path must be the path"):
        labels_of("a").of(odd)
