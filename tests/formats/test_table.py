"""CSV: a line per object, the same columns for every result."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from fastsam_onnx import Mask, Segmentation, formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.table import COLUMNS

PHOTO = (10, 6)


def rectangle(x1, y1, x2, y2):
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, PHOTO)


def rows(found):
    return list(csv.DictReader(io.StringIO(formats.to_csv(found), newline="")))


def test_a_line_per_object():
    """Middles of columns 2 to 4 are 2.5, 3.5 and 4.5, of rows 1 and 2 they are 1.5 and 2.5."""
    found = Segmentation.from_masks([rectangle(2, 1, 5, 3)], [0.123456], [[1.5, 1, 5, 3.004]], source="a photo.jpg")
    assert formats.to_csv(found) == (
        "source,width,height,index,score,x1,y1,x2,y2,area,centroid_x,centroid_y,prompt_index,predicted_iou,similarity,"
        "label,name,track_id\na photo.jpg,10,6,0,0.12346,1.5,1.0,5.0,3.0,6,3.5,2.0,,,,,,\n"
    )
    assert found.to_csv() == formats.encode(found, "csv").decode() == formats.to_csv(found)


def test_the_centroid_is_the_mean_of_the_pixels():
    """A pixel at 0, 0 and three in row 3 from column 4: x (0.5 + 4.5 + 5.5 + 6.5) / 4, y (0.5 + 3 * 3.5) / 4."""
    dense = np.zeros((6, 10), bool)
    dense[0, 0] = dense[3, 4:7] = True
    [row] = rows(Segmentation.from_masks([Mask.from_dense(dense)]))
    assert (row["centroid_x"], row["centroid_y"], row["area"]) == ("4.25", "2.75", "4")


def test_what_is_known_stands_in_columns_of_its_own():
    found = Segmentation.from_masks(
        [rectangle(0, 0, 2, 2), rectangle(4, 0, 6, 2)],
        prompt_index=[3, 3],
        labels=[1, 0],
        names={0: "a mug", 1: 'a "cup", red\r\nor blue'},
    )
    first, second = rows(found)
    assert (first["label"], first["name"], second["name"]) == ("1", 'a "cup", red\r\nor blue', "a mug")
    assert (first["prompt_index"], first["similarity"], first["track_id"]) == ("3", "", "")
    assert first["source"] == ""


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n", "\r\r\n"])
def test_a_line_in_a_name_ends_no_row(ending):
    [row] = rows(Segmentation.from_masks([rectangle(0, 0, 2, 2)], labels=[0], names={0: f"cup{ending}red"}))
    assert row["name"] == f"cup{ending}red"


def test_an_object_without_pixels_has_no_centroid():
    [row] = rows(Segmentation.from_masks([Mask.empty(PHOTO)]))
    assert (row["area"], row["centroid_x"], row["centroid_y"]) == ("0", "", "")


def test_without_objects_there_are_the_columns_alone():
    assert formats.to_csv(Segmentation.from_masks([], image_size=PHOTO)) == ",".join(COLUMNS) + "\n"


def test_tracks_have_their_numbers(tmp_path):
    found = Segmentation.from_masks([rectangle(0, 0, 2, 2)])
    found = Segmentation(**{**vars(found), "track_ids": np.array([7])})
    found.save(tmp_path / "objects.csv")
    assert (tmp_path / "objects.csv").read_bytes().endswith(b",7\n")


def test_there_are_no_options():
    with pytest.raises(OptionError, match="has no option tolerance"):
        formats.encode(Segmentation.from_masks([rectangle(0, 0, 2, 2)]), "csv", tolerance=1)


def test_what_is_no_character_in_a_name_is_told_as_such(sample, tmp_path):
    """As the names of files may have it that are not UTF-8."""
    found = replace(sample, source="a\udcff.jpg")
    found.save(tmp_path / "a.csv")
    assert "a\ufffd.jpg" in (tmp_path / "a.csv").read_text("utf-8")
