"""The page with Gradio: each click corrects the answer, and what cannot be read is said."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = [
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs gradio"),
    pytest.mark.filterwarnings("ignore"),  # Gradio's own
]

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE, COFFEE = EXAMPLES / "gradio_app.py", EXAMPLES / "coffee.jpg"
DRINK, TABLE = (300, 150), (540, 120)


@pytest.fixture(scope="module")
def example(load_example):
    return load_example("gradio_app")


def at(point):
    return SimpleNamespace(index=list(point))


def test_a_photo_shows_everything_before_any_click(example):
    visit, picture, cutout = example.open_photo(str(COFFEE))
    np.testing.assert_array_equal(picture, visit.found.overlay())
    assert cutout is None


def test_clicks_choose_as_the_same_prompt_does(example):
    visit, *_ = example.open_photo(str(COFFEE))
    visit, picture, _ = example.click(visit, "on the object", at(DRINK))
    visit, picture, cutout = example.click(visit, "beside it", at(TABLE))

    chosen = visit.found.point_prompt([DRINK, TABLE], [1, 0])
    np.testing.assert_array_equal(picture, chosen.overlay(points=[DRINK, TABLE], point_labels=[1, 0]))
    np.testing.assert_array_equal(cutout, chosen.cutout(soft=True))


def test_a_click_that_means_nothing_is_drawn_and_cuts_nothing_out(example):
    visit, *_ = example.open_photo(str(COFFEE))
    _, picture, cutout = example.click(visit, "beside it", at(TABLE))
    assert cutout is None
    assert (picture != visit.found.image).any()


def test_start_anew_forgets_the_clicks(example):
    visit, everything, _ = example.open_photo(str(COFFEE))
    clicked, *_ = example.click(visit, "on the object", at(DRINK))
    visit, picture, cutout = example.start(clicked)
    assert (visit.points, cutout) == ((), None)
    np.testing.assert_array_equal(picture, everything)


def test_without_a_photo_there_is_nothing(example):
    assert example.open_photo(None) == (None, None, None)
    assert example.start(None) == (None, None, None)
    with pytest.raises(example.gr.Error, match="open it again"):  # a visit ends after an hour; it was an AttributeError
        example.click(None, example.KINDS[0], at(DRINK))


def test_a_file_that_is_no_photo_is_told_the_visitor(example, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no photo")
    with pytest.raises(example.gr.Error, match=r"notes\.txt"):
        example.open_photo(str(path))


@pytest.mark.process
def test_the_page_can_be_built():
    """In a process of its own: Gradio leaves event loops open."""
    build = (
        f"import runpy; blocks = runpy.run_path({str(EXAMPLE)!r})['app']().blocks.values(); "
        "print(*blocks, [block.image_mode for block in blocks if getattr(block, 'type', '') == 'filepath'])"
    )
    done = subprocess.run([sys.executable, "-c", build], check=True, capture_output=True, text=True)
    assert done.stdout.count("<gradio.components.image.Image object") == 3
    assert done.stdout.strip().endswith("[None]")  # files come as they are: Pillow made 16-bit ones white
