"""A page on which clicks pick an object, with Gradio: a demonstration, or a Space.

    pip install fastsam-onnx gradio
    python examples/gradio_app.py

As `app.py` of a Space it needs no GPU, and a file `requirements.txt` that names fastsam-onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import gradio as gr

from fastsam_onnx import FastSAM, FastSAMError, Segmentation
from fastsam_onnx.arrays import ByteArray

KINDS = ["on the object", "beside it"]
"""What a click says; each further one corrects the answer to those before."""
KEPT_SECONDS = 3600
"""Time for which a visitor's photo and its pictures are kept."""
VISITORS = 50
"""Number of visitors whose photos are kept, each with what further clicks ask for: some 6 MB and the photo's pixels."""


@dataclass(frozen=True)
class Visit:
    """What one visitor has asked so far.

    Attributes:
        found: Everything in the photo.
        points: Clicks, (x, y) in pixels of the photo.
        labels: For each 1 on the object, 0 beside it.
    """

    found: Segmentation
    points: tuple[tuple[int, int], ...] = ()
    labels: tuple[int, ...] = ()

    def clicked(self, point: Sequence[int], kind: str) -> Visit:
        """The same after one more click."""
        x, y = point
        return Visit(self.found, (*self.points, (x, y)), (*self.labels, 1 - KINDS.index(kind)))

    def pictures(self) -> tuple[ByteArray, ByteArray | None]:
        """The clicks and what they mean over the photo, and that cut out; before any click, all objects."""
        if not self.points:
            return self.found.overlay(), None
        chosen = self.found.point_prompt(self.points, self.labels)
        picture = chosen.overlay(points=self.points, point_labels=self.labels)
        return picture, chosen.cutout(soft=True) if chosen else None


@lru_cache(maxsize=1)
def model() -> FastSAM:
    """One for all visitors, opened at the first photo."""
    return FastSAM()


def open_photo(path: str | None) -> tuple[Visit | None, ByteArray | None, ByteArray | None]:
    """Everything in a photo; of none nothing."""
    if path is None:
        return None, None, None
    try:
        return start(Visit(model()(path)))
    except FastSAMError as error:
        raise gr.Error(str(error)) from error


def start(visit: Visit | None) -> tuple[Visit | None, ByteArray | None, ByteArray | None]:
    """The photo without clicks."""
    if visit is None:
        return None, None, None
    visit = Visit(visit.found)
    return visit, *visit.pictures()


def click(visit: Visit | None, kind: str, event: gr.SelectData) -> tuple[Visit, ByteArray, ByteArray | None]:
    """What one more click means. Photos are forgotten after a while, and where the page is started anew."""
    if visit is None:
        raise gr.Error("the photo is not known any more: open it again")
    visit = visit.clicked(event.index, kind)
    return visit, *visit.pictures()


def app() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="FastSAM", delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        visit = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row():
            photo = gr.Image(label="Photo", type="filepath", image_mode=None, sources=["upload", "clipboard"])
            picture = gr.Image(label="Click on an object", interactive=False)
            cutout = gr.Image(label="The object", interactive=False, format="png")
        with gr.Row():
            kind = gr.Radio(KINDS, value=KINDS[0], label="The next click is")
            anew = gr.Button("Start anew")
        shown = [visit, picture, cutout]
        photo.change(open_photo, photo, shown)
        picture.select(click, [visit, kind], shown)
        anew.click(start, visit, shown)
    return page


if __name__ == "__main__":
    app().launch(state_session_capacity=VISITORS, show_error=True)
