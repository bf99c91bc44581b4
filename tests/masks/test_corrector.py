"""Beside its decoder a network may have a corrector, which draws what corrects an answer.

It stands in the file as the difference of its bytes from the decoder's.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_onnx import tiny, toy_decoder, ultralytics_metadata

from fastsam_onnx import FastSAM, Mask, ModelError
from fastsam_onnx.masks.clicks import _wider
from fastsam_onnx.masks.decoder import Closer, Decoder, Question, drawn_mask
from fastsam_onnx.masks.decoder_file import change_of, changed, file_of, text_of
from fastsam_onnx.masks.rough import LOOKS, _along, _around, _is_stroke
from fastsam_onnx.masks.views import PRIORS, SIDE, SURE_LOGIT, View
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.runtime import RuntimeOptions

MAPS = 32 + PRIORS + 2
RED, GREEN = toy_decoder(MAPS), toy_decoder(MAPS, colour=1)
BOX = (4, 4, 60, 60)


@pytest.fixture
def photo():
    """Red in its left half, green in its right one."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:56, 8:32, 0] = image[8:56, 32:56, 1] = 255
    return image


def model(**metadata):
    metadata = {"conf": "0.05", "refine": "True", "decoder": text_of(RED), **metadata}
    return FastSAM(tiny(metadata=ultralytics_metadata() | metadata))


def test_corrections_are_drawn_by_the_corrector_all_else_by_the_decoder(photo):
    with model(corrector=change_of(RED, GREEN)) as network:
        found = network(photo)
        first = found.box_prompt(BOX).masks.dense()[0]
        second = found.box_prompt(BOX, (44, 32)).masks.dense()[0]
    np.testing.assert_array_equal(first, photo[..., 0] > 0)
    np.testing.assert_array_equal(second, photo[..., 1] > 0)


def test_what_a_mask_means_is_drawn_by_the_corrector_and_without_one_what_fits_it_best(photo):
    """The sketch lies over a part of what is green, and of what is red."""
    sketch = np.zeros((64, 64), bool)
    sketch[12:50, 28:54] = True
    with model(corrector=change_of(RED, GREEN)) as network:
        drawn = network(photo).mask_prompt(sketch)
    np.testing.assert_array_equal(drawn.masks.dense()[0], photo[..., 1] > 0)
    assert drawn.boxes.tolist() == [[32, 8, 56, 56]]
    with model() as network:
        found = network(photo)
        [fitting] = found.mask_prompt(sketch).masks
        assert fitting.iou(Mask.from_dense(sketch)) >= max(Mask.from_dense(sketch).iou(mask) for mask in found.masks)


def test_a_mask_is_shown_in_place_of_the_answer_so_far_without_points(monkeypatch, photo):
    seen = []

    def run(network, photos, maps):
        seen.append((network.corrector is None, maps[0]))
        return np.full((len(photos), SIDE, SIDE), 5, np.float32), np.ones(len(photos))

    monkeypatch.setattr(Decoder, "run", run)
    with model(corrector=change_of(RED, GREEN)) as network:
        found = network(photo, redraw=False)
        [everything] = found.mask_prompt(Mask(np.ones((20, 20), bool), 20, 20, (64, 64))).masks
    is_corrector, maps = seen[0]
    assert is_corrector
    assert (maps[-2 - PRIORS] == SURE_LOGIT).mean() == pytest.approx((20 / 26) ** 2, abs=0.1), "20 of 26 pixels a side"
    assert not maps[-2:].any(), "neither a box nor points"
    assert everything.area == 64 * 64, "what the end of a view cuts is drawn again, until the photo ends"
    assert 1 < len(seen) <= LOOKS


@pytest.mark.parametrize(
    ("mask", "is_stroke"),
    [
        (Mask(np.ones((10, 60), bool), 5, 5, (100, 80)), True),
        (Mask(np.ones((60, 10), bool), 5, 5, (100, 80)), True),
        (Mask(np.eye(60, dtype=bool), 5, 5, (100, 80)), True),
        (Mask(np.pad(np.ones((10, 60), bool), 9), 5, 5, (100, 80)), True),
        (Mask(np.ones((20, 60), bool), 5, 5, (100, 80)), False),
        (Mask(np.ones((3, 3), bool), 50, 50, (100, 80)), True),
        (Mask(np.ones((4, 4), bool), 50, 50, (100, 80)), False),
    ],
    ids=["across", "down", "oblique", "with a margin", "thick", "dot", "small"],
)
def test_a_stroke_is_thin(mask, is_stroke):
    assert _is_stroke(mask) == is_stroke


def test_places_on_a_stroke_lie_in_equal_parts_of_its_longer_side():
    assert _along(Mask(np.ones((2, 60), bool), 10, 20, (100, 80))).tolist() == [
        [20.5, 20.5],
        [40.5, 20.5],
        [60.5, 20.5],
    ]
    bent = np.zeros((61, 10), bool)
    bent[:, 0] = bent[60] = True
    assert _along(Mask(bent, 0, 0, (100, 80))).tolist() == [[0.5, 11.5], [0.5, 35.5], [0.5, 58.5]]
    assert _along(Mask(np.ones((1, 1), bool), 7, 9, (100, 80))).tolist() == [[7.5, 9.5]] * 3


@pytest.mark.parametrize(("colour", "answers"), [(0, "clicks"), (1, "corrector")])
def test_of_a_stroke_what_the_clicks_on_it_mean_answers_where_it_promises_more(monkeypatch, photo, colour, answers):
    """The decoder draws what is red and promises 0.5, the corrector what is green and promises less, or as much."""
    run, promised = Decoder.run, {True: 0.5 if colour else 0.4, False: 0.5}
    monkeypatch.setattr(
        Decoder,
        "run",
        lambda network, *maps: (run(network, *maps)[0], np.full(len(maps[0]), promised[network.corrector is None])),
    )
    photo[30:34, 8:56] = (255, 255, 0)
    stroke = np.zeros((64, 64), bool)
    stroke[31, 12:52] = True
    with model(corrector=change_of(RED, GREEN)) as network:
        [mask] = network(photo, redraw=False).mask_prompt(stroke).masks
    np.testing.assert_array_equal(mask.dense(), photo[..., 0 if answers == "clicks" else 1] > 0)


def test_where_a_point_corrects_what_a_mask_means_both_are_shown(monkeypatch, photo):
    """The click that counts as the first lies where they share most, away from background points."""
    asked = []

    def draw(closer, questions):
        asked.append(questions)
        return [drawn_mask(np.full((SIDE, SIDE), 5, np.float32), view, 1.0) for view in closer._views(questions)]

    monkeypatch.setattr(Closer, "draw", draw)
    mask = Mask(np.ones((21, 21), bool), 20, 20, (64, 64))
    with model(corrector=change_of(RED, GREEN)) as network:
        found = network(photo, redraw=False)
        found.mask_prompt(mask, [(60, 60), (30, 30)], [1, 0])
    told = [question for questions in asked for question in questions if len(question.points)]
    assert {len(question.points) for question in told} == {3}, "the first point is obeyed already"
    assert told[0].before.area == 64 * 64, "what was drawn of it"
    assert told[1].before == mask
    x, y = told[0].points[0]
    assert mask.contains(x, y)
    assert max(abs(x - 30.5), abs(y - 30.5)) > 1


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (Mask(np.ones((300, 400), bool), 100, 200, (1000, 800)), (100, 200, 500, 500)),
        (Mask(np.ones((2, 400), bool), 100, 399, (1000, 800)), (100, 330, 500, 470)),
        (Mask(np.ones((2, 400), bool), 100, 9, (1000, 800)), (100, 0, 500, 80)),
        (Mask(np.ones((1, 1), bool), 500, 400, (1000, 800)), (490.5, 390.5, 510.5, 410.5)),
    ],
    ids=["any", "stroke", "at the frame", "dot"],
)
def test_what_is_slim_or_tiny_is_looked_at_with_room(mask, box):
    """Sides of 0.35 of the longer one, and of 0.02 of the photo's longer side, 20, at least."""
    np.testing.assert_allclose(_around(mask), box)


@pytest.mark.parametrize(
    ("ask", "is_shown"),
    [
        (lambda found: found.box_prompt(BOX), True),
        (lambda found: found.box_prompt(BOX, (44, 32)), True),
        (lambda found: found.point_prompt((20, 30)), False),
        (lambda found: found.point_prompt([(20, 30), (44, 30)]), False),
        (lambda found: found.mask_prompt(Mask(np.ones((21, 21), bool), 20, 20, (64, 64))), False),
        (lambda found: found.mask_prompt(Mask(np.ones((21, 21), bool), 20, 20, (64, 64)), (60, 60)), False),
        (None, False),
    ],
    ids=["box", "corrected box", "point", "corrected point", "mask", "corrected mask", "redrawn"],
)
def test_a_box_is_shown_to_the_networks_where_it_was_asked_for_alone(monkeypatch, photo, ask, is_shown):
    """They end what they draw where that ends."""
    shown = []

    def run(network, photos, maps):
        shown.extend(maps[:, -2].any(axis=(1, 2)).tolist())
        return real_run(network, photos, maps)

    real_run = Decoder.run
    monkeypatch.setattr(Decoder, "run", run)
    with model(corrector=change_of(RED, GREEN)) as network:
        found = network(photo, redraw=ask is None)
        if ask is not None:
            ask(found)
    assert set(shown) == {is_shown}


@pytest.mark.parametrize("metadata", [{}, {"corrector": change_of(RED, GREEN)}], ids=["decoder", "corrector"])
def test_a_mask_that_overlaps_no_object_means_a_candidate_and_one_that_overlaps_nothing_nothing(photo, metadata):
    with model(**metadata) as network:
        found = network(photo, conf=1, redraw=False)
    assert len(found) == 0
    sketch = np.zeros((64, 64), bool)
    sketch[12:50, 28:54] = True
    [answer] = found.mask_prompt(sketch).masks
    assert answer.intersection_area(Mask.from_dense(sketch)) > 0
    nothing = replace(found, candidates=replace(found.candidates, boxes_xywh=found.candidates.boxes_xywh - 1000))
    assert len(nothing.mask_prompt(sketch)) == 0


@pytest.mark.parametrize("colour", [2, 1], ids=["nothing", "elsewhere"])
def test_where_the_corrector_draws_something_else_a_candidate_answers(photo, colour):
    sketch = np.zeros((64, 64), bool)
    sketch[12:50, 9:30] = True  # all red
    with model(corrector=change_of(RED, toy_decoder(MAPS, colour=colour))) as network:
        found = network(photo)
        [answer] = found.mask_prompt(sketch).masks
    assert answer.intersection_area(Mask.from_dense(sketch)) > 0


def test_a_mask_with_room_around_it_means_the_same(photo):
    sketch = np.zeros((64, 64), bool)
    sketch[20:30, 36:50] = True
    with model(corrector=change_of(RED, GREEN)) as network:
        found = network(photo)
        answers = [found.mask_prompt(mask) for mask in (Mask(sketch, 0, 0, (64, 64)), Mask.from_dense(sketch))]
    assert answers[0].masks[0] == answers[1].masks[0]


def test_of_a_thin_line_every_cell_is_shown_that_it_touches(photo):
    """Cells of a view of 1250 pixels are 13 wide: of a line of one pixel, most of the middles are missed."""
    letterbox = Letterbox.fit((2000, 2000), (64, 64))
    closer = Closer(Decoder("", RuntimeOptions(), "x"), np.zeros((2000, 2000, 3), np.uint8), photo, letterbox)
    question = Question(np.array((500, 500, 1500, 1500), np.float32), np.zeros((1, 32), np.float32), asked=False)
    line, square = (Mask(np.ones(size, bool), 500, 706, (2000, 2000)) for size in ((1, 1000), (1000, 1000)))
    view = View.around(question.box_xyxy, letterbox)
    cells = closer.showing(question, line).before.sample(*view.centres())
    assert np.count_nonzero(cells.any(axis=1)) == 1
    assert np.count_nonzero(cells) == pytest.approx(SIDE * 1000 / 1250, abs=2)
    assert closer.showing(question, square).before is square


def test_of_a_click_that_is_corrected_the_answer_is_drawn_by_the_corrector_candidates_by_the_decoder(
    monkeypatch, photo
):
    asked = []

    def run(network, photos, maps):
        asked.append(("corrector" if network.corrector is None else "decoder", len(photos)))
        logits = np.full((len(photos), SIDE, SIDE), -5, np.float32)
        logits[:, SIDE // 4 : -1, 1:-1] = 5
        return logits, np.ones(len(photos))

    monkeypatch.setattr(Decoder, "run", run)
    with model(corrector=change_of(RED, GREEN)) as network:
        found = network(photo)
        [first] = found.point_prompt((20, 32)).masks
        above = (20, first.box[1] - 2)
        asked.clear()
        found.point_prompt([(20, 32), above], [1, 1])
    assert [name for name, _ in asked[:2]] == ["decoder", "decoder"]
    assert {count for name, count in asked if name == "corrector"} == {1}


@pytest.mark.parametrize(
    ("point", "sign", "is_wider"),
    [((50, 30), 1, True), ((40, 30), 1, True), ((39, 30), 1, False), ((50, 30), -1, False)],
)
def test_what_lacks_a_point_outside_is_drawn_in_a_wider_view(point, sign, is_wider):
    """Without a margin, 0.3 of the sides from 20 to 50 and from 4 to 34, the object would end where the point lies."""
    before = Mask(np.ones((30, 20), bool), 20, 4, (64, 64))
    box = np.array((20, 4, 50, 34), np.float32)
    question = Question(
        box, np.zeros((1, 32), np.float32), asked=False, points=[(30, 20), (60, 60), point], signs=[1, -1, sign]
    )
    wider = _wider(question, before, (64, 64)).box_xyxy
    assert wider.tolist() == pytest.approx([11, 0, 59, 43] if is_wider else box.tolist(), abs=1e-5)


@pytest.mark.parametrize("shown", [False, True])
def test_what_is_corrected_first_is_shown_to_a_corrector(monkeypatch, photo, shown):
    """A decoder alone knows it better by its candidate."""
    seen = []

    def run(decoder, photos, maps):
        seen.append(maps[0, -2 - PRIORS])
        return np.full((len(photos), SIDE, SIDE), -5 if len(seen) > 1 else 5, np.float32), np.ones(len(photos))

    monkeypatch.setattr(Decoder, "run", run)
    with model(**({"corrector": change_of(RED, GREEN)} if shown else {})) as network:
        network(photo).box_prompt(BOX, (20, 20), 0)
    assert bool(seen[-1].max() == SURE_LOGIT) == shown


@pytest.mark.parametrize(
    ("corrector", "words"),
    [
        ("no base64", "its corrector is damaged"),
        (base64.b64encode(zlib.compress(bytes(9))[:-3]).decode(), "its corrector is damaged: it is cut off"),
        (text_of(bytes(2**26 + 1)), "its corrector is damaged: it is cut off, or larger than 67,108,864 bytes"),
        (change_of(RED, GREEN)[:8] + "AAAA" + change_of(RED, GREEN)[12:], "its corrector is damaged"),
        (change_of(GREEN, RED), "its corrector is damaged: it was made for another decoder"),
        (text_of(b""), "its corrector is damaged: it was made for another decoder"),
        (change_of(RED, RED[::-1]), "the corrector of"),
    ],
    ids=["text", "cut", "large", "changed", "other", "empty", "no network"],
)
def test_a_damaged_or_foreign_corrector_is_an_error_when_something_is_corrected(photo, corrector, words):
    """Answers without a point more need none."""
    with model(corrector=corrector) as network:
        found = network(photo)
        assert len(found.box_prompt(BOX)) == 1
        with pytest.raises(ModelError, match=words):
            found.box_prompt(BOX, (44, 32))
        with pytest.raises(ModelError, match=words):
            found.mask_prompt(photo[..., 1] > 0)


@given(st.binary(min_size=1, max_size=99), st.randoms(use_true_random=False))
def test_what_is_added_makes_the_corrector_of_this_decoder_alone(decoder, random):
    corrector = random.randbytes(len(decoder))
    change = change_of(decoder, corrector)
    assert changed(decoder, change) == corrector
    other = bytes([decoder[0] ^ 1]) + decoder[1:]
    for wrong in (other, decoder + b"x", decoder[:-1]):
        with pytest.raises(ValueError, match="another decoder"):
            changed(wrong, change)


def test_of_questions_together_each_is_answered_by_its_own_network():
    """The first view is red, the second green; the corrector sees green alone."""
    photos = np.zeros((2, 3, SIDE, SIDE), np.float32)
    photos[0, 0] = photos[1, 1] = 1
    maps = np.zeros((2, MAPS, SIDE // 2, SIDE // 2), np.float32)
    corrector = Decoder(text_of(RED), RuntimeOptions(), "x", change=change_of(RED, GREEN))
    decoder = Decoder(text_of(RED), RuntimeOptions(), "x", corrector=corrector)
    for corrects, signs in (([False, True], [1, 1]), ([True, False], [-1, -1])):
        logits, promises = decoder.answer(photos, maps, np.array(corrects))
        assert np.sign(logits[:, 0, 0]).tolist() == signs
        assert (promises > 0.5).tolist() == [sign > 0 for sign in signs]


def test_a_file_may_be_compressed():
    assert file_of(text_of(RED)) == RED
    assert file_of(base64.b64encode(RED).decode()) == RED
    assert len(text_of(bytes(10_000))) < 100
