"""Damaged numbers in a network's outputs: an error, or where they cannot matter, the same answer."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_onnx.errors import ModelError
from fastsam_onnx.masks.detections import detect
from fastsam_onnx.network.contract import Contract
from fastsam_onnx.network.layout import Outputs
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.metadata import Metadata
from fastsam_onnx.network.outputs import NEGLIGIBLE_SCORE, to_outputs

NC, NM, SIDE, COUNT = 2, 3, 64, 84  # 64 + 16 + 4 cells
OUTPUTS = Outputs("prototypes", ("candidates",), "channels first", NC, NM)
CONTRACT = Contract(
    input_name="images",
    input_dtype=np.dtype(np.float32),
    height=SIDE,
    width=SIDE,
    batch=1,
    stride=32,
    class_count=NC,
    coefficient_count=NM,
    nms_inside=False,
    objectness=False,
    imgsz=None,
    conf=None,
    iou=None,
    refine=None,
    redraw=None,
    names={},
    metadata=Metadata(),
)


def healthy():
    """Candidates of which every second has no score; prototypes."""
    rng = np.random.default_rng(0)
    candidates = rng.random((1, 4 + NC + NM, COUNT), dtype=np.float32)
    candidates[:, :4] *= SIDE
    candidates[:, 4 : 4 + NC, ::2] *= NEGLIGIBLE_SCORE
    return candidates, rng.random((1, NM, SIDE // 4, SIDE // 4), dtype=np.float32)


def detections(candidates):
    letterbox = Letterbox.fit((SIDE, SIDE), (SIDE, SIDE))
    return detect(candidates, letterbox, class_count=NC, conf=NEGLIGIBLE_SCORE, iou=0.5, max_det=99).boxes_xyxy


def answer(candidates, prototypes):
    [output] = to_outputs(prototypes, [candidates], OUTPUTS, CONTRACT, (SIDE, SIDE))
    return output


@given(st.integers(0, 3 + NC + NM), st.integers(0, COUNT - 1), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_number_that_is_not_finite_is_an_error_unless_nobody_takes_its_candidate(channel, index, bad):
    candidates, prototypes = healthy()
    expected = detections(candidates[0])
    candidates[0, channel, index] = bad
    if index % 2 == 1 or 4 <= channel < 4 + NC:
        with pytest.raises(ModelError, match="NaN or infinite"):
            answer(candidates, prototypes)
    else:
        np.testing.assert_array_equal(detections(answer(candidates, prototypes).candidates), expected)


@given(st.integers(0, COUNT - 1), st.sampled_from([-0.2, 1.2, 7.0, -30.0, 1e30]))
def test_a_score_out_of_range_is_an_error_wherever_it_stands(index, bad):
    candidates, prototypes = healthy()
    candidates[0, 5, index] = bad
    with pytest.raises(ModelError, match="scores must be 0 to 1"):
        answer(candidates, prototypes)


@given(st.integers(0, NM * 256 - 1), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_prototype_that_is_not_finite_is_an_error(index, bad):
    candidates, prototypes = healthy()
    prototypes.flat[index] = bad
    with pytest.raises(ModelError, match="NaN or infinite"):
        answer(candidates, prototypes)


def test_blocks_of_damage_are_refused_or_reach_no_object():
    """NaN, infinity, huge numbers and other shapes, anywhere; numbers that may be right are taken."""
    draw = random.Random(1)
    outcomes = Counter()
    for _ in range(1000):
        tensors = list(healthy())
        which = draw.randrange(2)
        one = tensors[which]
        bad = draw.choice([np.nan, np.inf, -np.inf, 3e38, -3e38, 2.0, "shape"])
        if bad == "shape":
            axis = draw.randrange(1, one.ndim)
            tensors[which] = draw.choice(
                [np.delete(one, 0, axis), np.concatenate([one, one], axis), np.swapaxes(one, 1, one.ndim - 1), one[:0]]
            )
        else:
            place = [slice(begin := draw.randrange(side), begin + draw.randrange(1, 9)) for side in one.shape[1:]]
            one[(slice(None), *place)] = bad
        try:
            found = answer(*tensors)
        except ModelError:
            outcomes["refused"] += 1
            continue
        boxes = detections(found.candidates)
        scores = found.candidates[4 : 4 + NC].max(axis=0)
        taken = found.candidates[:, scores > NEGLIGIBLE_SCORE]
        sound = np.isfinite(boxes).all() and np.isfinite(taken).all() and np.isfinite(found.prototypes).all()
        in_range = (
            taken[4 : 4 + NC].max(initial=0) <= 1.01 and boxes.min(initial=0) >= 0 and boxes.max(initial=0) <= SIDE
        )
        shapes = found.candidates.shape[0] == 4 + NC + NM and found.prototypes.shape == (NM, SIDE // 4, SIDE // 4)
        outcomes["right" if sound and in_range and shapes else "silent"] += 1
    assert outcomes["silent"] == 0, outcomes
    assert outcomes["refused"] > 300
    assert outcomes["right"] > 30
