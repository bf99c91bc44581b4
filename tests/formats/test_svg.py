"""SVG: paths that fill to the same pixels."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import HEIGHT, WIDTH, fill_rings, random_instances

from fastsam_onnx import draw, formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_svg_paths_fill_to_the_same_pixels(seed):
    found = random_instances(seed)
    drawing = formats.to_svg(found)
    paths = dict(re.findall(r'<path id="object-(\d+)" fill="#[0-9a-f]{6}" d="([^"]*)"', drawing))
    for index, mask in enumerate(found.masks):
        np.testing.assert_array_equal(fill_rings(_svg_rings(paths[str(index)]), found.image_size), mask.dense())


def _svg_rings(path: str) -> list[list[tuple[int, int]]]:
    rings: list[list[tuple[int, int]]] = []
    for command, first, second in re.findall(r"([Mhvlz])(-?\d+)?(?: (-?\d+))?", path):
        if command == "M":
            rings.append([(int(first), int(second))])
        elif command != "z":
            (x, y), ring = rings[-1][-1], rings[-1]
            ring.append((x + int(first), y) if command == "h" else (x, y + int(first)))
    return rings


def test_svg_is_well_formed_and_has_the_smallest_on_top(sample):
    from xml.etree import ElementTree

    root = ElementTree.fromstring(formats.to_svg(sample, link='a "b" & <c>.jpg'))
    names = {"": "http://www.w3.org/2000/svg"}
    assert root.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    image = root.find("image", names)
    assert image is not None
    assert image.attrib["href"] == "a%20%22b%22%20%26%20%3Cc%3E.jpg"
    order = [int(path.attrib["id"].removeprefix("object-")) for path in root.findall(".//path", names)]
    areas = sample.areas[order]
    assert (np.diff(areas) <= 0).all()


def test_colours_are_those_of_the_seed_and_lines_grow_with_the_photo(sample):
    colours = ["#{:02x}{:02x}{:02x}".format(*shade) for shade in draw.palette(len(sample), 3)]
    drawing = formats.to_svg(sample, seed=3)
    assert sorted(re.findall(r'fill="(#[^"]*)"', drawing)) == sorted(colours)
    for side, width in ((48, 1), (1499, 1), (1501, 2), (4000, 4)):
        assert f'stroke-width="{width}"' in formats.to_svg(Segmentation.from_masks([], image_size=(side, 10)))


def test_of_equally_large_objects_the_first_is_on_top_as_in_the_label_map():
    dense = np.zeros((2, 8, 8), bool)
    dense[0, :4], dense[1, 2:6] = True, True
    found = Segmentation.from_masks([Mask.from_dense(each) for each in dense], [0.9, 0.8])
    assert re.findall(r'id="object-(\d+)"', formats.to_svg(found)) == ["1", "0"]  # the last is painted over the others
    assert draw.label_map(found)[3, 3] == 0 + 1


def test_simplified_svg_has_slanted_steps_and_ends_where_the_ring_ends(sample):
    drawing = formats.to_svg(sample[[1]], tolerance=2.0)
    assert re.search(r"l-?\d+ -?\d+", drawing)
    assert len(drawing) < len(formats.to_svg(sample[[1]]))


def test_a_link_is_a_file_name_also_of_bytes_that_are_no_text(sample):
    assert '<image href="%FF%20b.jpg"' in formats.to_svg(sample, link="\udcff b.jpg")
    with pytest.raises(OptionError, match="link must be a file name, got"):
        formats.to_svg(sample, link="\ud800.jpg")


def test_names_of_classes_are_text_whatever_is_in_them(sample):
    found = replace(sample, labels=np.zeros(5, np.int64), names={0: "a\x00<b> & c"})
    assert "<title>object 0, a\ufffd&lt;b&gt; &amp; c, score " in formats.to_svg(found)
