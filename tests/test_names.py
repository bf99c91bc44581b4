"""Classes and their names, from the network's file to every kind of result."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from support.tiny_onnx import constant, known, tiny, ultralytics_metadata

from fastsam_onnx import FastSAM, Segmentation
from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.masks.mask import Mask

NAMES = {"names": str({0: "person", 1: "dog", 2: "cup"})}
TWO_SQUARES = np.full((1, 16, 16), -1.0)
TWO_SQUARES[0, 5:11, 1:7] = TWO_SQUARES[0, 5:11, 9:15] = 1
# cx, cy, w, h in an input of 64 x 64: two objects side by side, and the first again as another class.
BOXES = [[16, 32, 24, 24], [48, 32, 24, 24], [16, 32, 24, 24]]
SCORES = [[0.1, 0.8, 0.0], [0.2, 0.0, 0.7], [0.6, 0.1, 0.1]]


def model(scores=SCORES, names=NAMES, **options):
    return FastSAM(known(BOXES, scores, [[1.0]] * 3, TWO_SQUARES, metadata=names), iou=0.5, **options)


def photo(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def facts(found):
    return [(one.label, one.name, round(one.score, 2)) for one in found]


def test_the_best_class_of_an_object_and_its_name():
    found = model()(photo())
    assert facts(found) == [(1, "dog", 0.8), (2, "cup", 0.7)]
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [1, 2]
    assert found.names == {0: "person", 1: "dog", 2: "cup"}


@pytest.mark.parametrize("refine", [False, True])
def test_nms_within_each_class_keeps_the_second_class_of_a_place(refine):
    found = model()(photo(), agnostic=False, refine=refine)
    assert facts(found) == [(1, "dog", 0.8), (2, "cup", 0.7), (0, "person", 0.6)]
    with pytest.raises(OptionError, match="agnostic must be True or False, got 1"):
        model()(photo(), agnostic=1)


def test_a_network_of_one_class_has_no_classes():
    for names in (None, {"names": str({0: "object"})}):
        found = model([0.8, 0.7, 0.6], names)(photo())
        assert (found.labels, found.names, found[0].label, found[0].name) == (None, None, None, None)
        assert len(found) == len(model([0.8, 0.7, 0.6], names)(photo(), agnostic=False)) == 2


def test_a_class_without_a_name_is_named_by_its_index():
    found = model(names=None)(photo())
    assert found.names == {}
    assert facts(found) == [(1, "1", 0.8), (2, "2", 0.7)]
    assert facts(found.of_class(2)) == [(2, "2", 0.7)]
    with pytest.raises(OptionError, match="no names: give indices"):
        found.of_class("cup")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
def test_copies_keep_them(copied):
    assert facts(copied(model()(photo()))[1:]) == [(2, "cup", 0.7)]


def test_selections_prompts_and_joins_keep_them():
    found = model()(photo())
    assert facts(found[[1, 0]]) == [(2, "cup", 0.7), (1, "dog", 0.8)]
    for choice in ({"pick": pick} for pick in ("candidate", "balanced", "smallest", "best", "all", "merge")):
        assert facts(found.point_prompt([[[48, 32]], [[16, 32]]], **choice)) == [(2, "cup", 0.7), (1, "dog", 0.8)]
    for match in ("candidate", "mask", "box"):
        assert facts(found.box_prompt([36, 20, 60, 44], match=match)) == [(2, "cup", 0.7)]
    assert facts(found.mask_prompt(found.masks[1])) == [(2, "cup", 0.7)]
    assert facts(found.smooth()) == facts(found)
    assert facts(found.concatenate([found[1:], found[:1]])) == [(2, "cup", 0.7), (1, "dog", 0.8)]


def test_objects_put_together_have_the_class_of_the_best():
    found = model()(photo())
    assert facts(found.point_prompt([[16, 32], [48, 32]], pick="merge")) == [(1, "dog", 0.8)]


def test_classes_of_other_names_stay_apart_where_results_are_put_together():
    found, other = model()(photo()), model(names={"names": str({0: "cup", 1: "bowl", 2: "person"})})(photo())
    joined = Segmentation.concatenate([found, other])
    # the first's cup and person keep their indices; bowl, whose index is dog's, gets the next free one
    assert facts(joined) == [(1, "dog", 0.8), (2, "cup", 0.7), (3, "bowl", 0.8), (0, "person", 0.7)]
    assert joined.names == {0: "person", 1: "dog", 2: "cup", 3: "bowl"}
    assert joined.labels.dtype == np.int64


def test_a_class_without_a_name_is_none_of_another_result_that_has_names():
    found, unnamed = model()(photo()), model(names=None)(photo())
    assert unnamed.names == {}
    joined = Segmentation.concatenate([found, unnamed])
    assert facts(joined) == [(1, "dog", 0.8), (2, "cup", 0.7), (3, "1", 0.8), (4, "2", 0.7)]
    assert facts(Segmentation.concatenate([unnamed, unnamed])) == [(1, "1", 0.8), (2, "2", 0.7)] * 2


def test_indices_without_names_and_two_of_one_name_stay_where_names_are_the_same():
    masks = [Mask.from_dense(np.eye(8, dtype=bool))] * 2
    found = Segmentation.from_masks(masks, labels=[4, 9], names={4: "cat", 9: "cat"})
    assert Segmentation.concatenate([found, found]).labels.tolist() == [4, 9, 4, 9]
    other = Segmentation.from_masks(masks, labels=[4, 0], names={0: "cat", 4: "dog"})
    joined = Segmentation.concatenate([found, other])
    assert facts(joined) == [(4, "cat", 1), (4, "cat", 1), (5, "dog", 1), (4, "cat", 1)]


def test_classes_that_only_one_result_has_are_left_out_with_a_warning(caplog):
    found, plain = model()(photo()), model([0.8, 0.7, 0.6], None)(photo())
    joined = Segmentation.concatenate([found, plain])
    assert (len(joined), joined.labels, joined.names) == (4, None, None)
    assert "classes are left out: only 1 of 2 results have any" in caplog.text


def test_streams_and_tiles_have_them():
    [found] = model().stream([photo()])
    assert facts(found) == [(1, "dog", 0.8), (2, "cup", 0.7)]
    large = np.kron(photo(), np.ones((3, 3, 1), np.uint8))
    tiled = model()(large, tile=96)
    assert len(tiled) > 2
    assert set(facts(tiled)) <= {(1, "dog", 0.8), (2, "cup", 0.7)}
    assert len(tiled.labels) == len(tiled)


def test_an_export_with_nms_inside_keeps_its_class_column():
    plain = FastSAM(tiny(3, metadata=ultralytics_metadata(3)), conf=0.3, iou=1.0, max_det=20)(photo())
    inside = FastSAM(tiny(3, nms_inside=True, metadata=ultralytics_metadata(3, nms=True)), conf=0.3, iou=1.0)(photo())
    assert len(plain) > 5
    assert len(set(facts(plain))) > 1
    assert facts(inside) == facts(plain)
    middles = (inside.boxes[:, :2] + inside.boxes[:, 2:]) / 2
    answers = inside.point_prompt(middles[:, None])
    assert len(answers)
    assert set(facts(answers)) <= set(facts(inside))


def test_a_class_that_is_no_index_is_an_error():
    model = constant(
        {"images": (1, 3, 64, 64)},
        {"output0": (1, 20, 7), "output1": (1, 1, 16, 16)},
        value=-3,
        metadata=ultralytics_metadata(3, nms=True),
    )
    assert len(FastSAM(model)(photo())) == 0  # scores of padding
    rows = np.full((1, 20, 7), 0.5, np.float32)
    rows[..., 5] = -1
    from fastsam_onnx.network.outputs import to_outputs

    network = FastSAM(model)._network
    with pytest.raises(ModelError, match="classes after NMS must be indices from 0 on, got -1"):
        to_outputs(np.zeros((1, 1, 16, 16), np.float32), [rows], network._outputs, network.contract, (64, 64))


def test_objects_of_classes_by_name_and_by_index():
    found = model()(photo(), agnostic=False)
    assert facts(found.of_class("person", "dog")) == [(1, "dog", 0.8), (0, "person", 0.6)]
    assert facts(found.of_class(2)) == [(2, "cup", 0.7)]
    assert len(found.of_class("cup").of_class("dog")) == 0


def test_a_class_that_is_not_there_is_told_what_is():
    found = model()(photo())
    with pytest.raises(OptionError, match=r"'Dgo' \(did you mean 'dog'\?\); it knows 0 'person', 1 'dog', 2 'cup'"):
        found.of_class("person", "Dgo")
    with pytest.raises(OptionError, match="got 3; it knows"):
        found.of_class(3)
    with pytest.raises(OptionError, match="at least one"):
        found.of_class()
    with pytest.raises(OptionError, match=r"a name or an index, got \['person', 'dog'\]; give each as an argument"):
        found.of_class(["person", "dog"])
    with pytest.raises(OptionError, match="no classes"):
        model([0.8, 0.7, 0.6], None)(photo()).of_class("dog")


def test_masks_with_labels():
    masks = [Mask.from_dense(np.ones((4, 4), bool))] * 2
    found = Segmentation.from_masks(masks, labels=[1, 0], names={0: "cat", 1: "dog"})
    assert [one.name for one in found] == ["dog", "cat"]
    with pytest.raises(OptionError, match="labels"):
        Segmentation.from_masks(masks, labels=[1])
