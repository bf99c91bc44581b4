"""The first foreground point means an object, and every other corrects the answer, as little as it may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastsam_onnx import FastSAM
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.decoder import LOUDEST, Decoder
from fastsam_onnx.masks.packed import PackedMask
from fastsam_onnx.masks.views import COARSE, EXTRA_MAPS, SIDE
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.runtime import RuntimeOptions

LETTERBOX = Letterbox.fit((64, 64), (64, 64), stride=32)  # photo, input and pixels are one
EXAMPLES = Path(__file__).parents[2] / "examples"
COFFEE, ASTRONAUT = EXAMPLES / "coffee.jpg", EXAMPLES / "astronaut.jpg"


def found_of(*columns, decoder=None):
    """What candidates (cx, cy, w, h, score) are, whose masks fill their boxes."""
    output = np.array([(*column, 1) for column in columns], np.float32).T
    image = np.zeros((64, 64, 3), np.uint8)
    candidates = Candidates.from_output(
        output, np.ones((1, 16, 16), np.float32), LETTERBOX, class_count=1, decoder=decoder, image=image
    )
    return replace(Segmentation.from_masks([], image_size=(64, 64)), candidates=candidates)


class TestWithoutADecoder:
    """The least change of the answer that obeys: another candidate, or a part more, or less."""

    def test_a_foreground_point_adds_what_it_means(self):
        """No candidate holds both points."""
        found = found_of((16, 16, 20, 20, 0.9), (48, 48, 20, 20, 0.5))
        answer = found.point_prompt([(16, 16), (48, 48)])
        assert answer.areas.tolist() == [20 * 20 + 20 * 20]
        assert answer.boxes.tolist() == [[6, 6, 58, 58]]
        assert answer.scores.tolist() == [np.float32(0.9)], "of what was meant first"

    def test_a_background_point_cuts_out_what_it_means(self):
        found = found_of((32, 32, 32, 32, 0.9), (32, 32, 8, 8, 0.5))
        assert found.point_prompt([(20, 20), (32, 32)], [1, 0]).areas.tolist() == [32 * 32 - 8 * 8]

    def test_of_candidates_that_obey_the_one_most_like_the_answer_is_taken(self):
        """The claim of the largest is the highest of those that hold both points: 60^2 pixels, but a score of 0.9."""
        sizes = ((16, 0.9), (24, 0.02), (60, 0.9))
        found = found_of(*((32, 32, side, side, score) for side, score in sizes))
        assert found.point_prompt((32, 32)).areas.tolist() == [16 * 16]
        assert found.point_prompt([(32, 32), (42, 32)]).areas.tolist() == [24 * 24]

    def test_a_point_that_is_obeyed_changes_nothing(self):
        found = found_of((32, 32, 16, 16, 0.5), (32, 32, 60, 60, 0.9))
        for point, label in (((36, 36), 1), ((50, 50), 0)):
            assert found.point_prompt([(32, 32), point], [1, label]).areas.tolist() == [16 * 16]

    def test_background_points_may_come_first(self):
        found = found_of((32, 32, 32, 32, 0.9), (32, 32, 8, 8, 0.5))
        assert found.point_prompt([(32, 32), (20, 20)], [0, 1]).areas.tolist() == [32 * 32 - 8 * 8]

    def test_where_the_first_point_hits_nothing_the_next_means_an_object(self):
        found = found_of((16, 16, 20, 20, 0.9), (48, 48, 20, 20, 0.5))
        assert found.point_prompt([(60, 2), (48, 48)]).boxes.tolist() == [[38, 38, 58, 58]]

    def test_a_background_point_that_nothing_separates_is_cut_out_in_a_disc(self):
        """All that was offered holds both points, 8 pixels apart: a disc of 2 pixels' radius goes, 13 pixels."""
        found = found_of((32, 32, 32, 32, 0.9), (32, 32, 60, 60, 0.5))
        for pick in ("candidate", "alternatives"):
            [mask] = found.point_prompt([(32, 32), (40, 32)], [1, 0], pick=pick).masks
            assert mask.area == 32 * 32 - 13
            assert not mask.contains(40, 32)
            assert not mask.contains(42, 32)
            assert mask.contains(43, 32)

    def test_a_background_point_beside_the_foreground_takes_its_pixel(self):
        found = found_of((32, 32, 32, 32, 0.9))
        points = [(32, 32), (33, 32), (32, 33), (50, 50)]
        [mask] = found.point_prompt(points, [1, 0, 0, 0]).masks
        assert mask.area == 32 * 32 - 2
        assert mask.contains(*points[0])

    def test_what_was_changed_takes_no_memory_for_each_pixel(self):
        """As what was not rendered takes none; a hundred of them from a photo of 50 megapixels were 5 GB."""
        whole, part = (32, 32, 32, 32, 0.9), (32, 32, 8, 8, 0.5)
        for offered in ((whole, part), (whole,)):  # the part is cut out, or a disc
            answer = found_of(*offered).point_prompt([(20, 20), (32, 32)], [1, 0])
            [mask], [lazy] = answer.masks, answer.masks.lazy
            assert isinstance(lazy, PackedMask)
            assert len(lazy.packed) < 100
            assert (lazy.area, lazy.bounds, lazy.box.tolist()) == (mask.area, mask.bounds, mask.box.tolist())
            assert lazy.area_inside(16, 16, 32, 32) == mask.dense()[16:32, 16:32].sum()
            assert lazy.contains(20, 20) == mask.contains(20, 20)
            columns, rows = np.arange(0, 64, 3), np.arange(0, 64, 5)
            assert (lazy.sample(columns, rows) == mask.dense()[::5, ::3]).all()

    def test_of_points_in_one_pixel_the_last_counts(self):
        """In the place of the first: the object is still that of the first point."""
        found = found_of((16, 16, 20, 20, 0.9), (48, 48, 20, 20, 0.5))
        first, other = (16, 16), (48, 48)
        both = found.point_prompt([first, other]).areas.tolist()
        assert found.point_prompt([first, other, first, other]).areas.tolist() == both
        for points, labels in (([first, other, other], [1, 1, 0]), ([first, first, first], [1, 0, 1])):
            assert found.point_prompt(points, labels).boxes.tolist() == found.point_prompt(first).boxes.tolist()
        assert found.point_prompt([first, other, (16.9, 16.9)], [1, 1, 0]).boxes.tolist() == [[38, 38, 58, 58]]


class TestWithADecoder:
    """A decoder that draws its view but for a cell around; once a background point counts for enough, its left half."""

    @pytest.fixture
    def found(self, monkeypatch):
        def run(_, photos, maps):
            self.told.append(maps[:, -1])
            self.seen.append(maps[:, -EXTRA_MAPS])
            logits = np.full((len(photos), SIDE, SIDE), 5, np.float32)
            if not self.fills:
                logits[:, [0, -1]] = logits[:, :, [0, -1]] = -5
            logits[maps[:, -1].min(axis=(1, 2)) < -self.heeds, :, SIDE // 2 :] = -5
            return logits, np.array(self.promises[: len(photos)])

        self.told, self.seen, self.heeds, self.fills, self.promises = [], [], 0.5, False, [0.5, 0.5]
        monkeypatch.setattr(Decoder, "run", run)
        return found_of((32, 32, 32, 32, 0.9), decoder=Decoder("", RuntimeOptions(threads=1), "toy.onnx"))

    def test_it_draws_on_around_the_answer_and_the_points(self, found):
        """The candidate's view ends at 52 (an eighth of 32 beyond 48); the one around the point (60, 32) at 64."""
        first = found.point_prompt((32, 32))
        assert first.boxes.tolist() == [[12, 12, 52, 52]]
        answer = found.point_prompt([(32, 32), (60, 32)])
        assert answer.masks[0].contains(60, 32)
        assert answer.boxes[0, 0] == pytest.approx(12 - 49 / 8, abs=1), "an eighth of the sides from 12 to 61 beyond"
        assert self.told[-1].max() > 0.9
        assert [len(told) for told in self.told[2:]] == [2], "the candidate, which holds one of them, and the answer"

    @pytest.mark.parametrize(("promise", "likeliest"), [(0.6, "part"), (0.7, "whole")])
    def test_the_promise_is_weighed_with_the_claim_and_alternatives_are_drawn(self, found, promise, likeliest):
        """Claims are 0.9 / 64^(2/3) and 0.5 / 4^(2/3), by cells; their ratio of 0.28, to the power of 0.2, is 0.78.

        So what promises 0.6 or 0.7 counts 0.47 or 0.54 beside 0.5.
        """
        self.promises = [0.5, promise]
        drawn = {"part": [26, 26, 38, 38], "whole": [12, 12, 52, 52]}  # as offered, to 28 to 36 and 16 to 48
        found = found_of((32, 32, 32, 32, 0.9), (32, 32, 8, 8, 0.5), decoder=found.candidates.closer.decoder)
        assert found.point_prompt((32, 32)).boxes.tolist() == [drawn.pop(likeliest)]
        alternatives = found.point_prompt((32, 32), pick="alternatives").boxes.tolist()
        assert alternatives[1:] == [*drawn.values()]

    def test_what_the_view_cuts_is_drawn_again_in_a_wider_one(self, found):
        """The answer, and the candidate that is drawn anew beside a correction, each until its view is the photo."""
        self.fills = True
        assert found.point_prompt((32, 32)).boxes.tolist() == [[0, 0, 64, 64]]
        looks = len(self.told)
        assert looks > 1
        assert found.point_prompt([(32, 32), (36, 36)]).boxes.tolist() == [[0, 0, 64, 64]]
        assert len(self.told) == 3 * looks, "the answer to the first point again, and the candidate"

    def test_many_points_are_told_together_in_the_end(self, found):
        """Eight steps, and one with the other 92: each draws the candidate, which holds all points, and no more."""
        points = np.random.default_rng(0).uniform(20, 44, (100, 2))
        [mask] = found.point_prompt(points).masks
        assert all(mask.contains(x, y) for x, y in points)
        assert len(self.told) == 8 + 1

    def test_points_outside_the_photo_change_nothing(self, found):
        first = found.point_prompt((32, 32)).masks[0]
        for point in ((-5, 20), (1e9, 20), (20, 64)):
            assert found.point_prompt([(32, 32), point]).masks[0].iou(first) == 1

    def test_a_background_point_is_told_with_its_sign(self, found):
        answer = found.point_prompt([(24, 32), (40, 32)], [1, 0])
        assert not answer.masks[0].contains(40, 32)
        assert answer.masks[0].contains(24, 32)
        assert self.told[-1].min() < -0.9 < 0.9 < self.told[-1].max()

    def test_it_sees_an_answer_that_was_corrected(self, found):
        """In place of the candidate, whose logits are 1: 4 in the answer, which begins at 5.875, -4 outside."""
        found.point_prompt([(32, 32), (60, 32), (2, 32)])
        _, [_, once], [*_, twice] = self.seen
        columns = (np.arange(COARSE) + 0.5) / COARSE * 64
        assert (once == 1).all()
        assert (twice[COARSE // 2, (columns > 8) & (columns < 62)] == 4).all()
        assert (twice[COARSE // 2, columns < 4] == -4).all()

    def test_what_is_not_obeyed_counts_twice_as_much_each_time(self, found):
        self.heeds = 3.5
        answer = found.point_prompt([(24, 32), (40, 32)], [1, 0])
        loudest = [round(float(told.min())) for told in self.told[1:]]
        assert loudest == [-1, -2, -4]
        assert not answer.masks[0].contains(40, 32)

    def test_what_it_never_obeys_ends_at_the_loudest(self, found):
        """And is cut out: a quarter of 16 pixels around."""
        self.heeds = LOUDEST + 1
        answer = found.point_prompt([(24, 32), (40, 32)], [1, 0])
        assert len(self.told) == 1 + 5, "each twice as loud, 1 to LOUDEST"
        assert not answer.masks[0].contains(44, 32)
        assert answer.masks[0].contains(45, 32)

    def test_a_point_that_is_given_twice_is_told_once(self, found):
        found.point_prompt([(32, 32), (32.5, 32.5)])
        assert len(self.told) == 1

    def test_an_answer_that_obeys_stays_where_candidates_promise_no_more(self, found):
        """It has 1.2 times its promise; the candidate is drawn anew, and may promise more after another point."""
        points = [(32, 32), (36, 36)]
        assert found.point_prompt(points).masks[0].iou(found.point_prompt(points[0]).masks[0]) == 1
        assert self.told[1].shape == (1, COARSE, COARSE), "the candidate alone was drawn"


def test_a_far_point_means_the_whole():
    """The face, then the suit: the astronaut, whom a candidate holds; not the face and a scrap of the suit."""
    found = FastSAM(threads=1)(ASTRONAUT)
    [face] = found.point_prompt((230, 120)).masks
    [whole] = found.point_prompt([(230, 120), (230, 400)]).masks
    assert whole.area > 6 * face.area
    assert whole.contains(150, 330)
    assert not whole.contains(230, 5)


def test_a_photo_is_corrected():
    """The cup: a click into the coffee, one on the saucer, which belongs to it, one on the table, which does not."""
    found = FastSAM(threads=1)(COFFEE)
    points, labels = [(300, 150), (240, 230), (40, 60)], [1, 1, 0]
    for count in (1, 2, 3):
        [mask] = found.point_prompt(points[:count], labels[:count]).masks
        for (x, y), label in zip(points[:count], labels[:count], strict=True):
            assert mask.contains(x, y) == bool(label)
