"""`stream(track=True)`: numbers through batches, failures and tiles; prompts of one frame followed through the next."""

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.tiny_onnx import bright_object, tiny, toy_decoder, ultralytics_metadata

from fastsam_onnx import Failure, FastSAM, Mask, OptionError, PromptError, Prompts, Segmentation
from fastsam_onnx.masks.candidates import Answer
from fastsam_onnx.masks.decoder_file import change_of, text_of
from fastsam_onnx.masks.views import PRIORS
from fastsam_onnx.tracking import Tracker
from fastsam_onnx.tracking.following import Follower, _as_found, _offers, followed
from fastsam_onnx.tracking.tracker import KEPT_FRAMES, KEPT_FRAMES_NEW

SIZE = (160, 64)
MAPS = 32 + PRIORS + 2


def picture(x, y=32):
    """(64, 160, 3) RGB: a disc of radius 10."""
    canvas = np.full((64, 160, 3), 20, np.uint8)
    cv2.circle(canvas, (x, y), 10, (255, 240, 180), -1)
    return canvas


FRAMES = [picture(14 + 8 * index) for index in range(9)]


@pytest.fixture(scope="module")
def model():
    return FastSAM(bright_object(), imgsz=160, threads=1)


def ids(results):
    return [None if isinstance(found, Failure) else found.track_ids.tolist() for found in results]


@pytest.mark.parametrize("options", [{}, {"batch": 4, "workers": 2}, {"batch": 3}, {"tile": 64}])
def test_an_object_has_one_number_through_batches_and_tiles(model, options):
    results = list(model.stream(FRAMES, track=True, **options))
    moving = [found[found.boxes[:, 2] - found.boxes[:, 0] < 30] for found in results]
    assert ids(moving) == [[1]] * 9
    assert [len(found) for found in model.stream(FRAMES)] == [1] * 9


def test_without_track_there_are_no_numbers_and_every_stream_begins_with_1(model):
    assert [found.track_ids for found in model.stream(FRAMES)] == [None] * 9
    first, second = model.stream(FRAMES, track=True), model.stream(FRAMES[::-1], track=True)
    for _ in range(9):  # side by side: a model holds nothing of its streams
        assert ids([next(first), next(second)]) == [[1], [1]]


def test_a_failure_is_a_step_of_the_motion(model):
    frames = list(FRAMES)
    frames[4] = frames[5] = np.zeros((2, 2, 7), np.uint8)
    results = list(model.stream(frames, track=True, on_error="yield", batch=2))
    assert ids(results) == [[1], [1], [1], [1], None, None, [1], [1], [1]]


def test_low_scores_come_only_where_they_go_on_with_a_number():
    """A network that is equally sure of everything: its objects have scores of about a half."""
    network = FastSAM(tiny(seed=3), imgsz=96, conf=0.1, iou=0.7, max_det=20, threads=1)
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    plain = network(photo)
    threshold = float(np.sort(plain.scores)[len(plain) // 2])
    first, second = network.stream([photo, photo], conf=threshold, track=True)
    assert np.array_equal(first.boxes, network(photo, conf=threshold).boxes)  # the first frame is that of a call
    assert ids([first, second]) == [list(range(1, len(first) + 1))] * 2


def test_prompts_of_one_frame_are_followed(model):
    results = list(model.stream(FRAMES, track=True, prompts=Prompts(points=[(38, 32)]), at_frame=3))
    assert [len(found) for found in results] == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert ids(results)[3:] == [[1]] * 6
    assert [found.prompt_index.tolist() for found in results] == [[]] * 3 + [[0]] * 6
    for index in range(3, 9):
        left, _, right, _ = results[index].boxes[0]
        assert abs((left + right) / 2 - (14 + 8 * index)) <= 2


@pytest.mark.parametrize("kind", ["points", "boxes", "masks"])
def test_every_kind_of_prompt_can_be_followed(model, kind):
    mask = np.zeros((64, 160), bool)
    mask[22:43, 4:25] = True
    prompts = Prompts(**{kind: {"points": [(14, 32)], "boxes": [(4, 22, 25, 43)], "masks": mask}[kind]})
    assert ids(model.stream(FRAMES, track=True, prompts=prompts)) == [[1]] * 9


def test_what_leaves_is_missing_and_given_up_with_a_warning(model, caplog):
    nothing = np.full((64, 160, 3), 20, np.uint8)
    frames = [*FRAMES[:4], *[nothing] * (KEPT_FRAMES + 1), picture(120)]
    with caplog.at_level(logging.WARNING, "fastsam_onnx"):
        results = list(model.stream(frames, track=True, prompts=Prompts(points=[(14, 32)])))
    assert [len(found) for found in results] == [1] * 4 + [0] * (KEPT_FRAMES + 2)
    [record] = caplog.records
    assert "object 1" in record.getMessage()
    assert "prompt 0" in record.getMessage()
    assert "found last in frame 3 and is given up" in record.getMessage()


def test_what_was_asked_for_is_kept_as_long_after_one_frame_as_after_many(model, caplog):
    nothing = np.full((64, 160, 3), 20, np.uint8)
    prompts = Prompts(points=[(38, 32)])
    for away, comes_back in ((KEPT_FRAMES_NEW, 1), (KEPT_FRAMES - 1, 1), (KEPT_FRAMES, 0)):
        for more in (1, 2):  # it is told in the first frame that does not look for it, which may be the last one
            frames = [picture(38), *[nothing] * away, *[picture(38)] * more]
            caplog.clear()
            with caplog.at_level(logging.WARNING, "fastsam_onnx"):
                results = list(model.stream(frames, track=True, prompts=prompts))
            assert [len(found) for found in results] == [1, *[0] * away, *[comes_back] * more]
            assert ("found last in frame 0 and is given up" in caplog.text) == (not comes_back)


def test_frames_of_another_size_end_what_is_followed_and_the_warning_says_when(model, caplog):
    """With an object in the frame of another size it was an OptionError, which named no frame and ended the stream."""
    frames = [picture(38), picture(38), picture(38)[:, :120].copy(), picture(38)]
    with caplog.at_level(logging.WARNING, "fastsam_onnx"):
        results = model.stream(frames, track=True, prompts=Prompts(points=[(38, 32)]), on_error="yield")
        assert ids(results) == [[1], [1], [], []]
    [record] = caplog.records
    assert "found last in frame 1 and is given up" in record.getMessage()


def test_it_comes_back_where_its_motion_takes_it_and_is_not_taken_for_what_is_elsewhere(model):
    """The last disc is 59 pixels away after two frames, which are 3.3 roots of its area."""
    nothing = np.full((64, 160, 3), 20, np.uint8)
    frames = [*FRAMES[:4], nothing, nothing, picture(14 + 8 * 6), nothing, picture(120, 20)]
    results = list(model.stream(frames, track=True, prompts=Prompts(points=[(14, 32)])))
    assert ids(results) == [[1]] * 4 + [[], [], [1], [], []]


def square(x, y=20, side=16):
    dense = np.zeros(SIZE[::-1], bool)
    dense[y : y + side, x : x + side] = True
    return Mask.from_dense(dense)


def test_another_object_is_never_taken_for_the_one_that_is_followed():
    """Two squares pass each other; the followed one is not found while it is behind, the other has its own number."""
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    seen = []
    for step in range(20):
        followed_x, other_x = 4 + 6 * step, 130 - 6 * step
        masks = [square(other_x, 22)]
        if abs(followed_x - other_x) > 10:
            masks.append(square(followed_x))
        found = Segmentation.from_masks(masks)
        result = follower.begin(found, 0) if step == 0 else follower.update(found, step)
        seen.append(result.boxes[:, 0].tolist())
    assert [round(x) for boxes in seen for x in boxes] == [
        4 + 6 * step for step in range(20) if abs(4 + 6 * step - (130 - 6 * step)) > 10
    ]


def coloured(objects):
    """Squares, each in a colour, on grey: [(mask, (r, g, b)), ...]."""
    image = np.full((*SIZE[::-1], 3), 100, np.uint8)
    for mask, colour in objects:
        image[mask.dense()] = colour
    return Segmentation.from_masks([mask for mask, _ in objects], image_size=SIZE, image=image)


def test_what_has_other_colours_is_not_taken_for_it():
    red, blue = (230, 30, 30), (30, 30, 230)
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    follower.begin(coloured([(square(4), red)]), 0)
    assert ids([follower.update(coloured([(square(5), blue)]), 1)]) == [[]]
    assert ids([follower.update(coloured([(square(5), blue), (square(8), red)]), 2)]) == [[1]]


RED = (230, 30, 30)


def following(*frames):
    """The numbers in each frame of coloured squares, where the one at (12, 28) of the first is followed."""
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    first = ids([follower.begin(coloured(frames[0]), 0)])
    return first + ids([follower.update(coloured(objects), step) for step, objects in enumerate(frames[1:], 1)])


def test_what_turned_while_it_was_hidden_is_recognised():
    """It moves by 6 a frame, so it is expected at 40 when it is seen at 4, where nothing of the frames before was."""
    moves = [[(square(4 + 6 * step), RED)] for step in range(4)]
    back = [[(square(4), RED)]] * (KEPT_FRAMES + 3)  # and is kept
    assert following(*moves, [], [], *back) == [[1]] * 4 + [[], []] + [[1]] * (KEPT_FRAMES + 3)
    blue = [[(square(4), (30, 30, 230))]] * 3
    assert following(*moves, [], [], *blue) == [[1]] * 4 + [[]] * 5


def test_what_comes_out_from_behind_something_is_recognised_though_a_part_was_seen_last():
    """Of 16 columns 10 are left, then 6, each more than half of those before; 6 are not more than half of 16."""
    whole = square(4).dense()
    parts = [[(Mask.from_dense(whole & (np.arange(160) < 4 + columns)), RED)] for columns in (16, 10, 6)]
    assert following(*parts, [], [], [(square(24), RED)]) == [[1]] * 3 + [[], [], [1]]


def test_what_was_beside_it_is_not_taken_for_it_however_alike():
    twin = (square(40), RED)
    assert following(*[[(square(4), RED), twin]] * 3, *[[twin]] * 20) == [[1]] * 3 + [[]] * 20


def test_in_a_dark_film_a_dark_wall_is_not_taken_for_a_dark_suit():
    """Their likeness in four levels of red, green and blue is 0.96; a cyclist became a piece of wall so."""
    suit, wall = (25, 25, 28), (45, 38, 30)
    moves = [[(square(4 + 6 * step), suit)] for step in range(4)]
    assert following(*moves, [], [], *[[(square(36), wall)]] * 5) == [[1]] * 4 + [[]] * 7
    assert following(*moves, [], [], *[[(square(36), suit)]] * 2) == [[1]] * 4 + [[], [], [1], [1]]


def test_of_what_looks_like_it_the_one_where_it_is_expected_is_taken():
    """Its colours have changed a little, those of what is now beside it are as its own were."""
    paler = (225, 40, 40)
    first, second = [(square(4), RED)], [(square(14), RED), (square(5), paler)]
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    follower.begin(coloured(first), 0)
    answer = follower.update(coloured(second), 1)
    assert answer.track_ids.tolist() == [1]
    assert answer.masks[0].box[0] == 5


class Offers:
    """Candidates of which this one, or None for what is looked for itself, fits a mask best."""

    def __init__(self, best):
        self.best = best

    def whole_for_mask(self, mask):
        best = self.best or mask
        return Answer(best, best.box, 0.3, 0)


@pytest.mark.parametrize("left", [0, 1])
def test_of_two_alike_that_are_followed_the_one_that_stays_keeps_its_number(left):
    """They overlap, so neither was elsewhere when the other was seen; what is left has a number that is followed."""
    follower = Follower(Prompts(points=[[(6, 28)], [(24, 28)]]), conf=0.5)
    both = [(square(4), RED), (square(10), RED)]
    assert ids([follower.begin(coloured(both), 0)]) == [[1, 2]]
    assert ids([follower.update(coloured([both[left]]), step) for step in range(1, 4)]) == [[left + 1]] * 3


def test_an_answer_unlike_all_that_was_found_is_followed_as_it_is():
    """A mask of 6 of 16 columns: what will be found of it are these 6, and not the 16, as far as it is known."""
    part = Mask.from_dense(square(4).dense() & (np.arange(160) < 10))
    whole = Segmentation.from_masks([square(4)])
    assert _as_found(part, whole) is part
    assert _as_found(Mask.from_dense(square(4).dense() & (np.arange(160) < 13)), whole).area == 16 * 16
    assert _as_found(part, Segmentation.from_masks([], image_size=SIZE)) is part
    offered = replace(Segmentation.from_masks([square(40)]), candidates=Offers(square(4)))
    assert _as_found(Mask.from_dense(square(4).dense() & (np.arange(160) < 13)), offered).area == 16 * 16


def test_what_was_found_is_not_offered_a_second_time():
    """Offers overlap with what was found by 12 of 16 columns, or by 6 of 26; each is what fits what is expected."""
    found = replace(Segmentation.from_masks([square(4)]), candidates=Offers(None))
    wide = Mask.from_dense(square(4).dense() & (np.arange(160) < 16))
    offered = _offers(found, [wide, square(14)])
    assert [mask.box.tolist() for mask in offered.masks] == [[14, 20, 30, 36]]


def test_a_twin_elsewhere_that_is_more_like_it_does_not_matter():
    """Its own colours have changed a little; the twin, 32 pixels on, is new and has those of before."""
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    follower.begin(coloured([(square(4), RED)]), 0)
    found = follower.update(coloured([(square(36), RED), (square(5), (225, 30, 30))]), 1)
    assert found.boxes[:, 0].tolist() == [5]


def test_what_was_lost_is_not_recognised_without_the_photo():
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    follower.begin(Segmentation.from_masks([square(4)]), 0)
    assert ids([follower.update(Segmentation.from_masks([square(30)]), 1)]) == [[]]


@pytest.mark.parametrize(("corrector", "numbers"), [("what is green", [1]), ("what is red", []), (None, [])])
def test_what_is_neither_found_nor_offered_is_drawn_where_it_is_expected(corrector, numbers):
    """A green square moves by four pixels beside a red one; the second frame has no object, and no candidate of it."""
    frames = [np.zeros((64, 64, 3), np.uint8) for _ in range(2)]
    for frame, left in zip(frames, (30, 34), strict=True):
        frame[8:56, 4:20, 0] = frame[16:40, left : left + 24, 1] = 255
    red, green = toy_decoder(MAPS), toy_decoder(MAPS, colour=1)
    metadata = {"conf": "0.05", "refine": "True", "decoder": text_of(red)}
    if corrector is not None:
        metadata["corrector"] = change_of(red, green if corrector == "what is green" else red)
    follower = Follower(Prompts(masks=[frames[0][..., 1] > 0]), conf=0.05)
    first = Segmentation.from_masks([Mask.from_dense(frames[0][..., 1] > 0)], image=frames[0])
    with FastSAM(tiny(metadata=ultralytics_metadata() | metadata)) as network:
        follower.begin(first, 0)
        second = follower.update(network(frames[1], conf=0.999), 1)
    assert second.track_ids.tolist() == numbers
    for mask in second.masks:
        np.testing.assert_array_equal(mask.dense(), frames[1][..., 1] > 0)


def test_colours_may_change_slowly():
    """By half a level a frame, to less than the half of what they were; at once that is another object."""
    follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
    follower.begin(coloured([(square(4), (200, 80, 80))]), 0)
    for step in range(1, 241):
        assert ids([follower.update(coloured([(square(4), (200 - step // 2, 80, 80))]), step)]) == [[1]], step
    assert ids([follower.update(coloured([(square(4), (200, 80, 80))]), 241)]) == [[]]


def test_what_has_another_size_is_not_taken_for_it():
    """A part of the object, and the object with what is around it: 8 * 8 and 24 * 24 of 16 * 16."""
    for other in (square(8, 24, 8), square(2, 16, 24)):
        follower = Follower(Prompts(points=[(12, 28)]), conf=0.5)
        follower.begin(Segmentation.from_masks([square(4)]), 0)
        assert ids([follower.update(Segmentation.from_masks([other]), 1)]) == [[]]
        assert ids([follower.update(Segmentation.from_masks([other, square(5)]), 2)]) == [[1]]


def test_several_prompts_keep_their_order_and_their_numbers():
    follower = Follower(Prompts(points=[[(108, 28)], [(8, 28)]]), conf=0.5)
    first = follower.begin(Segmentation.from_masks([square(2), square(50), square(100)]), 0)
    assert first.prompt_index.tolist() == [0, 1]
    assert first.track_ids.tolist() == [1, 2]
    second = follower.update(Segmentation.from_masks([square(51), square(3)]), 1)
    assert second.prompt_index.tolist() == [1]
    assert second.track_ids.tolist() == [2]
    third = follower.update(Segmentation.from_masks([square(4), square(52), square(102)]), 2)
    assert third.prompt_index.tolist() == [0, 1]


def test_what_two_prompts_mean_is_followed_once(model, caplog):
    """With two numbers they took it from each other from frame to frame."""
    prompts = Prompts(points=[[(14, 32)], [(15, 31)]], boxes=[4, 22, 25, 43])
    results = list(model.stream(FRAMES, track=True, prompts=prompts))
    assert ids(results) == [[1]] * 9
    assert [found.prompt_index.tolist() for found in results] == [[0]] * 9
    assert [record.getMessage() for record in caplog.records] == [
        f"prompt {index} means the object of prompt 0, which is followed once" for index in (1, 2)
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"track": 1}, OptionError, "track must be True or False, got 1"),
        ({"prompts": Prompts(points=[(1, 1)])}, OptionError, "needs track=True"),
        ({"track": True, "at_frame": 3}, OptionError, "give prompts="),
        ({"track": True, "at_frame": ""}, OptionError, "at_frame must be an integer >= 0, got ''"),
        ({"track": True, "prompts": {"points": [(1, 1)]}}, OptionError, "prompts must be a Prompts"),
        ({"track": True, "prompts": Prompts()}, PromptError, "got none"),
        ({"track": True, "prompts": Prompts(points=[(1, 1)], classify=["cup"])}, OptionError, "classify is for single"),
        ({"track": True, "prompts": Prompts(points=[(1, 1)], similar=0.5)}, OptionError, "similar is for single"),
        ({"track": True, "prompts": Prompts(points=[1])}, PromptError, "points must have shape"),
        ({"track": True, "prompts": Prompts(points=[(1, 1)]), "at_frame": -1}, OptionError, "at_frame must be an int"),
    ],
)
def test_what_does_not_fit_is_said_at_once(model, options, error, message):
    with pytest.raises(error, match=message):
        model.stream(FRAMES, **options)


@pytest.mark.parametrize(
    ("prompts", "at_frame", "message"),
    [
        (Prompts(points=[(150, 2)]), 2, "prompt 0 means nothing in frame 2 of 160x64 pixels"),
        (Prompts(points=[(1000, 1000)]), 0, "prompt 0 means nothing in frame 0 of 160x64 pixels"),
        (Prompts(points=[[(30, 32)], [(150, 2)]]), 2, "prompt 1 means nothing in frame 2"),
        (Prompts(points=[(14, 32)]), 9, "0 to 8, got 9"),
    ],
)
def test_prompts_that_mean_nothing_in_their_frame_are_refused_there(model, prompts, at_frame, message):
    with pytest.raises(PromptError, match=message):
        list(model.stream(FRAMES, track=True, prompts=prompts, at_frame=at_frame))


def test_prompts_for_no_frames_at_all(model):
    """It said that at_frame must be 0 to -1."""
    with pytest.raises(PromptError, match="there are no frames"):
        list(model.stream([], track=True, prompts=Prompts(points=[(14, 32)])))


def test_a_frame_of_prompts_that_cannot_be_read_is_refused(model):
    frames = [FRAMES[0], np.zeros((2, 2, 7), np.uint8)]
    prompts = Prompts(points=[(14, 32)])
    with pytest.raises(PromptError, match="frame 1, which the prompts are for, cannot be read"):
        list(model.stream(frames, track=True, prompts=prompts, at_frame=1, on_error="yield"))


def test_prompts_of_a_tracked_result_choose_among_its_objects(model):
    found = next(model.stream(FRAMES, track=True))
    chosen = found.point_prompt([(14, 32)])
    assert chosen.track_ids.tolist() == [1]
    assert model(FRAMES[0]).point_prompt([(14, 32)]).track_ids is None


def test_leaving_early_closes_the_stream_below():
    closed = []

    def results():
        try:
            while True:
                yield Segmentation.from_masks([square(2)])
        finally:
            closed.append(True)

    stream = followed(results(), Prompts(points=[(8, 28)]), at_frame=0, conf=0.5)
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_tracker_takes_the_results_of_a_loop(model):
    tracker = Tracker(conf=0.5)
    assert ids([tracker.update(model(frame)) for frame in FRAMES]) == [[1]] * 9
