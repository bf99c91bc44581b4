"""What is shown of the detections: objects that share a box with a better one, or lie on better ones, count less."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from support.tiny_onnx import known

from fastsam_onnx import FastSAM
from fastsam_onnx.masks.adding import lowered
from fastsam_onnx.results.finding import is_plain

PHOTO = np.zeros((64, 64, 3), np.uint8)
PHOTO[:, 32:] = 255
IOU = 0.7
WEIGHT = float(np.log(4))


def halves(second, coefficients=(0.0, 5.0)):
    """A network that finds what fills the left half of a box of 56 x 40 pixels, and the right half of another."""
    prototypes = np.full((2, 16, 16), -1.0)
    prototypes[0, 4:12, 2:7] = prototypes[1, 4:12, 9:14] = 1
    boxes = [[32, 32, 56, 40], second]
    return known(boxes, [0.9, 0.8], [[5.0, 0.0], coefficients], prototypes, metadata={"refine": "True"})


@pytest.mark.parametrize(
    ("second", "scores"),
    [
        ([32, 32, 56, 26], [0.9, 0.8]),  # IoU 26 / 40 = 0.65
        ([32, 32, 56, 32], [0.9, 0.4]),  # IoU 0.8
        ([32, 32, 56, 38], [0.9]),  # IoU 0.95
    ],
)
def test_an_object_in_the_box_of_a_better_one_counts_half(second, scores):
    with FastSAM(halves(second), conf=0.3, iou=IOU) as model:
        found = model(PHOTO)
    assert found.scores.tolist() == pytest.approx(scores)
    assert [mask.box[0] for mask in found.masks] == [8, 36][: len(scores)], "columns of 4 pixels from 2 and from 9 on"


def test_half_of_its_score_must_be_above_the_threshold():
    for conf, count in ((0.39, 2), (0.41, 1)):
        with FastSAM(halves([32, 32, 56, 32]), conf=conf, iou=IOU) as model:
            assert len(model(PHOTO)) == count


def test_one_mask_in_two_boxes_is_one_object():
    with FastSAM(halves([32, 32, 56, 32], (5.0, 0.0)), conf=0.1, iou=IOU) as model:
        assert model(PHOTO).scores.tolist() == pytest.approx([0.9])


def test_masks_as_boxes_cut_them_are_told_apart_by_boxes_alone():
    """As the official code does."""
    with FastSAM(halves([32, 32, 56, 32]), conf=0.1, iou=IOU) as model:
        assert len(model(PHOTO, refine=False)) == 1


def test_the_best_come_first_and_no_more_than_asked_for():
    """Three boxes: the second counts 0.4 for its box, so that the third comes before it."""
    prototypes = np.full((3, 16, 16), -1.0)
    for plane, columns in enumerate((slice(1, 4), slice(6, 9), slice(12, 15))):
        prototypes[plane, 4:12, columns] = 1
    boxes = [[20, 32, 36, 40], [20, 32, 36, 32], [54, 32, 16, 40]]
    network = known(boxes, [0.9, 0.8, 0.6], 5 * np.eye(3), prototypes, metadata={"refine": "True"})
    with FastSAM(network, conf=0.1, iou=IOU) as model:
        assert model(PHOTO).scores.tolist() == pytest.approx([0.9, 0.6, 0.4])
        assert model(PHOTO, max_det=2).scores.tolist() == pytest.approx([0.9, 0.6])


def test_an_object_has_the_best_score_of_all_that_show_it():
    """The second box, a rival of the first, counts 0.4; the third, of 0.7, has its mask. So whatever `conf` is."""
    prototypes = np.full((2, 16, 16), -1.0)
    prototypes[0, 4:12, 2:7] = prototypes[1, 4:12, 9:14] = 1
    boxes = [[32, 32, 56, 40], [32, 32, 56, 32], [46, 32, 28, 32]]
    network = known(
        boxes, [0.9, 0.8, 0.7], [[5.0, 0.0], [0.0, 5.0], [0.0, 5.0]], prototypes, metadata={"refine": "True"}
    )
    with FastSAM(network, iou=IOU) as model:
        for conf in (0.3, 0.5):  # with the second, and without
            found = model(PHOTO, conf=conf)
            assert [mask.box[0] for mask in found.masks] == [8, 36]
            assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def lower(score, share):
    """The score of what adds this share, from the definition: its odds fall by exp(-weight * (1 - share))."""
    odds = score / (1 - score) * np.exp(-WEIGHT * (1 - share))
    return odds / (1 + odds)


def three(metadata):
    """What fills the left half of the photo, and two with lower scores that reach from the left and from the right."""
    prototypes = np.full((3, 16, 16), -1.0)
    prototypes[0, :, :8] = prototypes[1, 4:12, :12] = prototypes[2, 4:12, 9:15] = 1
    boxes = [[16, 32, 32, 64], [24, 32, 48, 32], [48, 32, 30, 40]]
    return known(boxes, [0.8, 0.5, 0.5], 5 * np.eye(3), prototypes, metadata=metadata)


class TestWhatLiesOnBetterOnes:
    """A network's file says what counts against it."""

    METADATA = MappingProxyType({"refine": "True", "covered": str(WEIGHT)})

    def test_it_counts_less_by_the_share_that_is_covered(self):
        """Of the 12 columns of the second the first covers 8; of the 6 of the third the second covers 3."""
        with FastSAM(three(self.METADATA), conf=0.1) as model:
            found = model(PHOTO)
        assert found.scores.tolist() == pytest.approx([0.8, lower(0.5, 1 / 2), lower(0.5, 1 / 3)])

    def test_also_of_masks_as_boxes_cut_them(self):
        with FastSAM(three({"covered": str(WEIGHT)}), conf=0.1) as model:
            scores = model(PHOTO).scores
        assert scores[0] == pytest.approx(0.8)
        assert (scores[1:] < 0.45).all()

    def test_a_file_that_says_nothing_leaves_scores_alone(self):
        with FastSAM(three({"refine": "True"}), conf=0.1) as model:
            assert model(PHOTO).scores.tolist() == pytest.approx([0.8, 0.5, 0.5])

    @pytest.mark.parametrize("conf", [0.1, 0.3, 0.35, 0.45])
    def test_a_threshold_changes_no_score(self, conf):
        with FastSAM(three(self.METADATA)) as model:
            all_scores = model(PHOTO, conf=0.1).scores
            assert model(PHOTO, conf=conf).scores.tolist() == all_scores[all_scores > conf].tolist()

    def test_what_is_too_small_to_be_missed_counts_less_too(self):
        """One cell of 1,600 is a sixteenth of a hundredth of the photo."""
        prototypes = np.full((1, 40, 40), -1.0)
        prototypes[0, 20, 20] = 1
        network = known([[82, 82, 8, 8]], [0.5], [[5.0]], prototypes, metadata=self.METADATA)
        photo = np.zeros((160, 160, 3), np.uint8)
        photo[:, 80:] = 255
        with FastSAM(network, conf=0.1) as model:
            assert model(photo).scores.tolist() == pytest.approx([lower(0.5, 1 / 16)])

    def test_chances_of_0_and_1_stay(self):
        scores = np.array([0, 1, 1], np.float32)
        assert lowered(scores, np.array([0, 0, 1], np.float32), 100.0).tolist() == [0, 1, 1]


class TestAPlainPicture:
    """Of 14 sizes of black and white pictures fastsam-small found something in five."""

    @pytest.mark.parametrize("colour", [0, 114, 255])
    def test_nothing_is_found_in_it(self, colour):
        noise = np.random.default_rng(0).integers(0, 4, (64, 64, 3))
        photo = np.clip(noise + colour - 2, 0, 255).astype(np.uint8)
        with FastSAM(three({"refine": "True"})) as model:
            assert len(model(photo)) == 0
            assert len(model(photo, refine=False)) == 3, "as the network says it"

    def test_a_single_pixel_makes_a_difference(self):
        photo = np.zeros((640, 480, 3), np.uint8)
        assert is_plain(photo)
        photo[411, 397, 1] = 5
        assert not is_plain(photo)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (15, 3)])
    def test_of_any_size(self, shape):
        assert is_plain(np.full((*shape, 3), 77, np.uint8))

    def test_each_channel_counts(self):
        photo = np.zeros((32, 32, 3), np.uint8)
        photo[...] = 200, 0, 40
        assert is_plain(photo), "red is one colour"
