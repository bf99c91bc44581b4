"""Results are pictures in notebooks, and open in a program elsewhere."""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
import types
import webbrowser
from base64 import b64decode, b64encode
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

import cv2
import numpy as np
import pytest

from fastsam_onnx import Mask, OutputError, Segmentation, draw
from fastsam_onnx.masks.preview import LONGEST_SIDE


def decoded(picture):
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)


def squares(width, height, image=None):
    dense = np.zeros((height, width), bool)
    dense[2:9, 3:20] = True
    return Segmentation.from_masks([Mask.from_dense(dense)], image=image)


def test_a_result_is_its_overlay():
    photo = np.repeat(np.arange(0, 240, 8, np.uint8)[:, None, None], 40, axis=1).repeat(3, axis=2)
    found = squares(40, 30, photo)
    assert np.array_equal(found.overlay(alpha=0.3), draw.overlay(found, alpha=0.3))
    bundle = found._repr_mimebundle_()
    assert bundle["text/plain"] == repr(found)
    shown = decoded(b64decode(bundle["image/jpeg"]))[..., ::-1].astype(int)
    assert shown.shape == (30, 40, 3)
    assert abs(shown - found.overlay()).mean() < 8  # what JPEG loses


def test_a_result_without_a_photo_is_shown_on_black():
    shown = decoded(b64decode(squares(40, 30)._repr_mimebundle_()["image/jpeg"]))
    assert shown[25:, 30:].max() < 20
    assert shown[4:7, 8:14].max() > 80


def test_a_mask_and_an_instance_are_white_on_black():
    found = squares(40, 30)
    expected = np.where(found[0].mask.dense(), 255, 0)
    assert np.array_equal(decoded(found[0].mask._repr_png_()), expected)
    assert found[0]._repr_png_() == found[0].mask._repr_png_()


@pytest.mark.parametrize(
    ("width", "height", "shown"), [(4000, 1000, (800, 200)), (3, 4000, (1, 800)), (800, 9, (800, 9))]
)
def test_large_pictures_are_shrunk(width, height, shown):
    assert max(shown) == LONGEST_SIDE
    dense = np.ones((height, width), bool)
    found = Segmentation.from_masks([Mask.from_dense(dense)])
    assert decoded(b64decode(found._repr_mimebundle_()["image/jpeg"])).shape[1::-1] == shown
    assert decoded(found[0].mask._repr_png_()).shape[::-1] == shown


def test_a_result_without_its_large_photo_is_drawn_small():
    """A photo of 2 gigapixels, whose overlay would take 20 GB."""
    square = Mask(np.ones((9000, 9000), bool), 18000, 9000, (72000, 27000))
    found = Segmentation.from_masks([square, square.moved(27000, 0)])
    shown = decoded(b64decode(found._repr_mimebundle_()["image/jpeg"]))
    assert shown.shape == (300, 800, 3)
    assert shown[150, 250].max() > 80
    assert shown[150, 550].max() > 80
    assert shown[:90].max() < 20


def test_a_large_photo_is_drawn_in_the_size_in_which_it_is_shown():
    """Drawn as it is and shrunk then, it looks the same, but takes ten times as long and arrays of the photo's size."""
    width, height = 4000, 3000
    columns = np.linspace(0, 255, width).astype(np.uint8)
    photo = np.broadcast_to(columns[None, :, None], (height, width, 3)).copy()
    rows, across = np.ogrid[:height, :width]
    disc = (rows - 1500) ** 2 + (across - 2000) ** 2 < 900**2
    found = Segmentation.from_masks([Mask.from_dense(disc)], image=photo)
    expected = cv2.resize(found.overlay(), (800, 600), interpolation=cv2.INTER_AREA)
    tracemalloc.start()
    bundle = found._repr_mimebundle_()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    shown = decoded(b64decode(bundle["image/jpeg"]))[..., ::-1]
    assert shown.shape == (600, 800, 3)
    assert np.abs(shown.astype(int) - expected).mean() < 3  # what JPEG loses, and the outline
    assert peak < photo.nbytes / 4


def test_show_has_a_file_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    found = squares(40, 30)
    found.show()
    path = Path(url2pathname(unquote(urlparse(opened[0]).path)))
    assert b64encode(path.read_bytes()).decode() == found._repr_mimebundle_()["image/jpeg"]


def test_show_says_so_where_nothing_shows_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(OutputError, match=r"overlay\.jpg"):
        squares(40, 30).show()


def test_show_says_so_where_no_temporary_file_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(OutputError, match="cannot write a temporary picture: No such file"):
        squares(40, 30).show()


def test_show_displays_in_a_notebook(monkeypatch):
    shown = []
    shell = types.ModuleType("IPython")
    shell.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display = types.ModuleType("IPython.display")
    display.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    found = squares(40, 30)
    found.show()
    assert shown == [found]
