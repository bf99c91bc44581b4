"""Where a network brings a decoder, answers to boxes and points are drawn anew from the photo's own pixels."""

from __future__ import annotations

import base64
import pickle
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.tiny_onnx import tiny, toy_decoder, ultralytics_metadata

from fastsam_onnx import FastSAM, ModelError
from fastsam_onnx.masks import views
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.decoder import LOUDEST, Decoder, Question, maps_of
from fastsam_onnx.masks.views import COARSE, PRIORS, SIDE, SURE_LOGIT, View, halve_on
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.runtime import RuntimeOptions

LETTERBOX = Letterbox.fit((64, 64), (64, 64), stride=32)
TOY = base64.b64encode(toy_decoder()).decode()


def red(*boxes):
    """A black photo, red in boxes x1, y1, x2, y2."""
    image = np.zeros((64, 64, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2, 0] = 255
    return image


def found_in(image, *columns, text=TOY):
    """What candidates (cx, cy, w, h, score, coefficient) of one prototype, 1 everywhere, are in a photo."""
    output, prototypes = np.array(columns, np.float32).T, np.ones((1, 16, 16), np.float32)
    decoder = Decoder(text, RuntimeOptions(threads=1), "toy.onnx")
    candidates = Candidates.from_output(output, prototypes, LETTERBOX, class_count=1, decoder=decoder, image=image)
    return replace(Segmentation.from_masks([], image_size=(64, 64)), candidates=candidates)


def test_a_box_is_answered_by_what_the_decoder_sees_in_it():
    """The candidate fills the box; red is less, and goes on beyond it."""
    image = red((20, 24, 60, 40))
    answer = found_in(image, (32, 32, 32, 32, 0.7, 1)).box_prompt((16, 16, 48, 48))
    expected = image[..., 0] > 0
    expected[:, 48:] = False
    np.testing.assert_array_equal(answer.masks.dense()[0], expected)
    assert answer.boxes.tolist() == [[16, 16, 48, 48]]
    assert answer.scores.tolist() == [pytest.approx(0.7)]


@pytest.mark.parametrize("off", [0.015, -0.015, 1e-9])
def test_a_box_that_misses_whole_pixels_by_a_rounding_has_the_answer_of_whole_ones(off):
    """As boxes have that were shares of the photo; a thousandth of a pixel was a line of pixels more or less."""
    image = red((16, 16, 48, 48))
    found = found_in(image, (32, 32, 32, 32, 0.7, 1))
    for off_by in ((off, off, off, off), (off, off, -off, -off)):
        answer = found.box_prompt(np.array([16, 16, 48, 48]) + off_by)
        np.testing.assert_array_equal(answer.masks.dense()[0], image[..., 0] > 0)
    halves = found.box_prompt((16.5, 16.5, 47.5, 47.5))
    assert halves.masks[0].box.tolist() == [17, 17, 48, 48], "what lies between pixels is as it was"
    assert len(found.box_prompt((20.005, 20.005, 20.01, 20.01))) == len(found.box_prompt((20.1, 20.1, 20.2, 20.2)))


def test_what_the_decoder_expects_of_its_masks_is_told():
    """The toy's logits, 5 and -5, have the mean 10 x share of red - 5, of which it promises the logistic function.

    The view of a box has a third of its sides around it. What the network offered has no such number.
    """
    found = found_in(red((20, 24, 60, 40)), (32, 32, 32, 32, 0.7, 1))
    box = (16, 16, 48, 48)
    [expected] = found.box_prompt(box).predicted_iou
    view = found.candidates.closer._views(found.candidates.questions(np.float32([box]), asked=True))[0]
    share = view.photo(red((20, 24, 60, 40)))[0].mean()
    assert expected == pytest.approx(1 / (1 + np.exp(5 - 10 * share)), rel=1e-4)
    point = found.point_prompt((32, 32))
    assert 0 < point.predicted_iou[0] == point[0].predicted_iou == point.masks[0].predicted_iou < 1
    plain = replace(found, candidates=replace(found.candidates, closer=None)).box_prompt(box)
    assert np.isnan(plain.predicted_iou).tolist() == [True]
    assert plain[0].predicted_iou is None
    assert found.predicted_iou.shape == (0,)


def test_a_point_is_answered_by_the_candidate_that_promises_most():
    """Two candidates hold the point, alike but for their size; the smaller is all red and promises more."""
    image = red((24, 24, 40, 40))
    found = found_in(image, (32, 32, 60, 60, 0.5, 1), (32, 32, 16, 16, 0.2, 1))
    answer = found.point_prompt((32, 32))
    np.testing.assert_array_equal(answer.masks.dense()[0], image[..., 0] > 0)
    assert answer.scores.tolist() == [pytest.approx(0.2)]
    assert answer.boxes.tolist() == [[24, 24, 40, 40]]


def test_what_the_end_of_a_view_cuts_is_drawn_again_in_a_wider_one(monkeypatch):
    """Views of 8 pixels see 12; the wider ones a quarter more of what they drew on either side, and an eighth."""
    image = red((18, 20, 46, 44), (2, 2, 6, 6))
    found = found_in(image, (32, 32, 8, 8, 0.5, 1), (4, 4, 8, 8, 0.5, 1))
    candidates, closer = found.candidates, found.candidates.closer
    questions = candidates.questions(candidates.boxes_xyxy, asked=False)
    counts, draw = [], closer.draw
    monkeypatch.setattr(type(closer), "draw", lambda _, asked: counts.append(len(asked)) or draw(asked))
    for looks, is_cut, bounds in (
        (1, True, (26, 26, 38, 38)),
        (2, True, (20, 20, 44, 44)),
        (3, False, (18, 20, 46, 44)),
    ):
        counts.clear()
        first, second = closer.draw_whole(questions, looks)
        assert (first.is_cut, first.mask.bounds) == (is_cut, bounds)
        assert (second.is_cut, second.mask.bounds) == (False, (2, 2, 6, 6))
        assert counts == [2, 1, 1][:looks]
    assert second.question is questions[1]
    assert first.question.box_xyxy.tolist() == [14, 14, 50, 50]


def test_a_click_into_what_is_larger_than_its_candidate_means_all_of_it():
    image = red((18, 20, 46, 44))
    answer = found_in(image, (32, 32, 8, 8, 0.5, 1)).point_prompt((32, 32))
    np.testing.assert_array_equal(answer.masks.dense()[0], image[..., 0] > 0)


def test_a_part_that_goes_on_beyond_the_view_of_a_click_does_not_end_there():
    """A handle of 3 pixels on a square of 24: the view ends at 47, which is 30 high; there it was cut off."""
    image = red((20, 20, 44, 44), (44, 30, 60, 33))
    answer = found_in(image, (32, 32, 24, 24, 0.5, 1)).point_prompt((32, 32))
    np.testing.assert_array_equal(answer.masks.dense()[0], image[..., 0] > 0)


def test_what_is_drawn_has_no_specks():
    """A pixel beside a square of 24 x 24."""
    image = red((20, 20, 44, 44), (46, 30, 47, 31))
    found = found_in(image, (32, 32, 32, 32, 0.5, 1))
    for answer in (found.box_prompt((16, 16, 48, 48)), found.point_prompt((32, 32))):
        assert answer.masks[0].box.tolist() == [20, 20, 44, 44]


def test_an_answer_without_the_point_makes_way():
    """Nothing at the point is red: the candidate's own mask answers."""
    found = found_in(red((40, 40, 50, 50)), (32, 32, 40, 40, 0.5, 1))
    assert found.point_prompt((20, 20)).areas.tolist() == [40 * 40]


def test_an_answer_with_a_background_point_makes_way():
    """Of two pieces of red the decoder draws both; the candidate holds the first point alone."""
    found = found_in(red((4, 4, 60, 60)), (16, 32, 20, 40, 0.5, 1))
    assert found.point_prompt([(16, 32), (28, 32)], [1, 0]).areas.tolist() == [20 * 40]


def test_a_box_in_which_nothing_is_drawn_keeps_its_candidate():
    assert found_in(red(), (32, 32, 32, 32, 0.7, 1)).box_prompt((16, 16, 48, 48)).areas.tolist() == [32 * 32]


class TestPointsInABox:
    """A decoder that draws all of its view, or, once a background point counts for enough, its right half."""

    BOX = (16, 16, 48, 48)

    @pytest.fixture
    def asked(self, monkeypatch):
        """How much points counted each time, background and foreground; the decoder obeys from 4 on."""
        told = []

        def run(decoder, photos, maps):
            spots = maps[:, -1]
            told.append((round(float(spots.min())), round(float(spots.max()))))
            logits = np.full((1, SIDE, SIDE), 5, np.float32)
            if spots.min() < -3:
                logits[:, :, : SIDE // 2] = -5
            return logits, np.ones(1)

        monkeypatch.setattr(Decoder, "run", run)
        return told

    def test_a_point_that_is_not_obeyed_counts_twice_as_much_each_time(self, asked):
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        [mask] = found.box_prompt(self.BOX, [(24, 24), (40, 40)], [0, 1]).masks
        assert asked == [(0, 0), (-1, 0), (-2, 0), (-4, 0)], "then it obeys the second point, too"
        assert mask.box.tolist() == [32, 16, 48, 48]

    def test_without_points_it_is_asked_once(self, asked):
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        assert found.box_prompt(self.BOX).areas.tolist() == [32 * 32]
        assert asked == [(0, 0)]

    def test_a_point_that_the_answer_obeys_changes_nothing(self, asked):
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        assert found.box_prompt(self.BOX, (40, 40)).areas.tolist() == [32 * 32]
        assert asked == [(0, 0)]

    def test_points_that_cannot_be_obeyed_end(self, asked):
        """The right half never goes, and no point counts more than LOUDEST: the same would be drawn again.

        So a disc goes, as of answers to clicks: of a quarter of the box, 8 pixels.
        """
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        [whole], [mask] = found.box_prompt(self.BOX).masks, found.box_prompt(self.BOX, (40, 40), 0).masks
        assert whole.area == 32 * 32
        assert not mask.contains(40, 40)
        assert whole.difference(mask).box.tolist() == [32, 32, 48, 48], "in the box"
        del asked[0]
        assert [background for background, _ in asked] == [0, -1, -2, -4, -8, -LOUDEST]

    def test_a_view_of_the_photo_is_taken_once_for_all_drawings(self, asked, monkeypatch):
        """Louder questions are about the same view; half of a photo of 50 megapixels takes longer than the drawing."""
        kept = []
        monkeypatch.setattr(views, "halve_on", lambda halves, most: kept.append(halves) or halve_on(halves, most))
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        found.box_prompt(self.BOX, (40, 40), 0)
        assert len(asked) == 6
        assert len(kept) == 1

    def test_of_points_in_one_pixel_the_last_counts(self, asked):
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        assert found.box_prompt(self.BOX, [(24, 24), (24.5, 24.5)], [0, 1]).areas.tolist() == [32 * 32]
        assert asked == [(0, 0)]

    def test_points_outside_the_photo_are_not_told(self, asked):
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        assert found.box_prompt((-20, 16, 48, 48), (-10, 24)).areas.tolist() == [48 * 32]
        assert asked == [(0, 0)]

    def test_candidates_that_obey_the_points_are_asked_about_first(self, monkeypatch):
        """A candidate of 1 is everywhere in its box, of -1 nowhere; the last fits less than half as well.

        Without points the left half is drawn, and nothing else ever.
        """
        asked = []

        def run(decoder, photos, maps):
            asked.append(float(maps[0, 1].max()))  # the first candidate's logits
            logits = np.full((1, SIDE, SIDE), -5, np.float32)
            if len(asked) == 1:
                logits[..., : SIDE // 2] = 5
            return logits, np.ones(1)

        monkeypatch.setattr(Decoder, "run", run)
        found = found_in(red(), (32, 32, 32, 32, 0.7, -1), (32, 32, 32, 28, 0.5, 1), (16, 16, 32, 32, 0.9, 2))
        found.box_prompt(self.BOX)
        assert asked == [-1]
        asked.clear()
        found.box_prompt(self.BOX, (40, 40))
        assert asked[:3] == [-1, 1, -1]
        asked.clear()
        found.box_prompt(self.BOX, (24, 24), 0)
        assert asked[:2] == [-1, -1]

    def test_an_answer_that_nobody_drew_and_that_obeys_is_not_drawn_for_points_either(self, monkeypatch):
        drawn = []

        def run(decoder, photos, maps):
            drawn.append(maps)
            return np.full((1, SIDE, SIDE), -5, np.float32), np.ones(1)

        monkeypatch.setattr(Decoder, "run", run)
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        [alone], [again] = found.box_prompt(self.BOX).masks, found.box_prompt(self.BOX, (40, 40)).masks
        assert alone == again
        assert len(drawn) == 2

    def test_the_decoder_sees_an_answer_that_was_corrected(self, monkeypatch):
        """It draws all of its view, its right half, and the upper half of that; before the last it sees the second."""
        seen = []

        def run(decoder, photos, maps):
            seen.append(maps[0, 1])
            logits = np.full((1, SIDE, SIDE), 5, np.float32)
            logits[:, :, : SIDE // 2 * (len(seen) > 1)] = -5
            logits[:, SIDE // 2 * (len(seen) < 3) + SIDE // 2 :] = -5
            return logits, np.ones(1)

        monkeypatch.setattr(Decoder, "run", run)
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        [mask] = found.box_prompt(self.BOX, [(24, 24), (40, 40)], [0, 0]).masks
        assert mask.box.tolist() == [32, 16, 48, 32]
        first, second, third = seen
        assert (first == 1).all(), "the candidate"
        assert (second == 1).all()
        view = View.around(self.BOX, LETTERBOX)
        half = view.box((32, 16, 48, 48))
        assert (third[half == 1] == SURE_LOGIT).all()
        assert (third[half == 0] == -SURE_LOGIT).all()

    def test_each_box_has_its_points(self, asked):
        found = found_in(red(), (32, 32, 32, 32, 0.7, 1))
        first, second = found.box_prompt([self.BOX, self.BOX], [[(24, 24)], [(40, 40)]], [[0], [1]]).masks
        assert (first.area, second.area) == (16 * 32, 32 * 32)


def test_maps_are_prototypes_candidates_box_and_points():
    prototypes = np.stack([np.full((16, 16), 2), np.full((16, 16), -3)]).astype(np.float32)
    coefficients = np.array([(1, 0), (0, 1), (10, 0), (5, 5)], np.float32)
    view = View.around((16, 16, 48, 48), LETTERBOX)
    box = np.array((16, 16, 48, 48), np.float32)
    maps = maps_of(view, prototypes, Question(box, coefficients, asked=True, points=[(32, 32)], signs=[1]))
    assert maps.shape == (2 + PRIORS + 2, COARSE, COARSE)
    assert maps[:5, 0, 0].tolist() == [2, -3, 2, -3, 8], "the third, 20, is cut off at 8; the fourth is not looked at"
    assert maps[5].mean() == pytest.approx((32 / 40) ** 2, abs=1e-6)
    without = maps_of(view, prototypes, Question(box, coefficients[:1], asked=False))
    assert without[2:, 0, 0].tolist() == [2, 2, 2, 0, 0], "one candidate alone stands for all"


def test_promises_are_probabilities():
    """The toy's logits are 5 where its view is red, -5 elsewhere, and their mean is what it promises."""
    photos = np.zeros((3, 3, SIDE, SIDE), np.float32)
    photos[0, 0], photos[1, 0, :, : SIDE // 2] = 1, 1
    _, promises = Decoder(TOY, RuntimeOptions(threads=1), "toy.onnx").run(
        photos, np.zeros((3, 6, COARSE, COARSE), np.float32)
    )
    assert promises.tolist() == pytest.approx([1 / (1 + np.exp(-5)), 1 / 2, 1 / (1 + np.exp(5))], rel=1e-5)


def test_a_promise_that_is_no_number_is_none(monkeypatch):
    """As damage to a file may make it: results would hold what they refuse."""
    session = SimpleNamespace(run=lambda *_: [np.zeros((2, SIDE, SIDE)), np.float32([np.nan, 1e9])])
    monkeypatch.setattr(Decoder, "_session", lambda _: session)
    decoder = Decoder(TOY, RuntimeOptions(), "toy.onnx")
    _, promises = decoder.run(np.zeros((2, 3, SIDE, SIDE)), np.zeros((2, 6, COARSE, COARSE)))
    assert promises.tolist() == [0, 1]


@pytest.mark.parametrize(("logits", "promises"), [((2, SIDE, COARSE), (2,)), ((2, SIDE, SIDE), (2, 1))])
def test_a_decoder_that_answers_in_another_size_is_an_error(monkeypatch, logits, promises):
    """NumPy would stretch the second over all questions."""
    session = SimpleNamespace(run=lambda *_: [np.zeros(logits), np.zeros(promises)])
    monkeypatch.setattr(Decoder, "_session", lambda _: session)
    with pytest.raises(ModelError, match=re.escape(f"toy.onnx: its decoder answers with {logits} and {promises}")):
        Decoder(TOY, RuntimeOptions(), "toy.onnx").run(np.zeros((2, 3, SIDE, SIDE)), np.zeros((2, 6, COARSE, COARSE)))


def with_decoder(text, **metadata):
    return tiny(metadata=ultralytics_metadata() | {"conf": "0.05", "decoder": text} | metadata)


def test_threads_that_come_at_once_open_one_session(monkeypatch):
    opened, create = [], RuntimeOptions.create_session

    def slowly(runtime, *arguments, **options):
        opened.append(1)
        time.sleep(0.3)
        return create(runtime, *arguments, **options)

    monkeypatch.setattr(RuntimeOptions, "create_session", slowly)
    found = found_in(red((20, 24, 60, 40)), (32, 32, 32, 32, 0.7, 1))
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(found.box_prompt, [(16, 16, 48, 48)] * 2))
    assert [len(answer) for answer in answers] == [1, 1]
    assert opened == [1]


def test_it_travels_in_the_file_and_in_pickles():
    image = red((8, 8, 56, 56))
    with FastSAM(with_decoder(base64.b64encode(toy_decoder(32 + 5)).decode(), refine="True")) as model:
        answer = model(image).box_prompt((4, 4, 60, 60))
        again = pickle.loads(pickle.dumps(model(image))).box_prompt((4, 4, 60, 60))
        plain = model(image, refine=False).box_prompt((4, 4, 60, 60))
    np.testing.assert_array_equal(answer.masks.dense()[0], image[..., 0] > 0)
    np.testing.assert_array_equal(again.masks.dense(), answer.masks.dense())
    assert plain.areas.tolist() != answer.areas.tolist(), "masks as the network has them"


@pytest.mark.parametrize("text", ["no base64", base64.b64encode(b"no network").decode(), TOY])
def test_a_damaged_or_foreign_decoder_is_an_error_that_names_the_file(text):
    """The last is sound, but made for a network with one prototype."""
    with FastSAM(with_decoder(text, refine="True")) as model:
        found = model(red((8, 8, 56, 56)))
        with pytest.raises(ModelError, match="bytes"):
            found.box_prompt((4, 4, 60, 60))
