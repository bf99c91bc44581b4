"""The contract of a network, and that every layout of an export comes out in the one form."""

import logging
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from support import tiny_onnx

from fastsam_onnx.errors import CheckpointError, ModelError, ModelNotFoundError, OptionError
from fastsam_onnx.network.network import Network

REAL = Path(__file__).parents[3] / "shared" / "models" / "yolov8n-seg.onnx"
needs_real = pytest.mark.skipif(not REAL.is_file(), reason="yolov8n-seg.onnx is not beside this checkout")


def photos(count=1, height=64, width=96, seed=0):
    """Smooth pictures, so that averages over cells differ from cell to cell."""
    coarse = np.random.default_rng(seed).random((count, 3, height // 16, width // 16), dtype=np.float32)
    return np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3)


def assert_same(results, expected, tolerance=0.0):
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        for array, reference in zip(result, wanted, strict=True):
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, reference, rtol=tolerance, atol=tolerance)


def raw(model, tensor):
    """What the file itself answers, by output name."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": tensor}), strict=True))


class TestLayouts:
    def test_the_standard_export_comes_through_as_it_is(self):
        model, tensor = tiny_onnx.tiny(), photos(2)
        outputs = raw(model, tensor)
        results = Network.open(model).run(tensor)
        assert_same(results, list(zip(outputs["output0"], outputs["output1"], strict=True)))
        # (64*96)/64 + (64*96)/256 + (64*96)/1024 = 96 + 24 + 6 anchors
        assert [array.shape for array in results[0]] == [(37, 126), (32, 16, 24)]
        assert all(prototypes.flags.c_contiguous for _, prototypes in results)

    @pytest.mark.parametrize("nc", [1, 2, 80])
    @pytest.mark.parametrize(
        "layout",
        [
            {"swapped_outputs": True},
            {"transposed": True},
            {"symbolic_channels": True},
            {"symbolic_channels": True, "transposed": True, "swapped_outputs": True},
            {"six_outputs": True},
            {"six_outputs": True, "swapped_outputs": True},
            {"six_outputs_joined": True},
            {"height": 64, "width": 96},
            {"height": 64, "width": 96, "transposed": True},
            {"height": 64, "width": 96, "six_outputs": True},
            {"height": 64, "width": 96, "six_outputs_joined": True},
            {"height": 64, "width": 96, "symbolic_channels": True},
            {"height": 64},
            {"batch": 1},
            {"batch": 3},
            {"batch": 2, "height": 64, "width": 96},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("with_metadata", [False, True])
    def test_every_layout_means_the_same(self, nc, layout, with_metadata):
        tensor = photos(3)
        expected = Network.open(tiny_onnx.tiny(nc)).run(tensor)
        metadata = tiny_onnx.ultralytics_metadata(nc) if with_metadata else None
        network = Network.open(tiny_onnx.tiny(nc, **layout, metadata=metadata))
        assert network.contract.class_count == nc
        assert network.contract.coefficient_count == 32
        assert not network.contract.nms_inside
        # Runs of another batch size add in another order.
        assert_same(network.run(tensor), expected, tolerance=2e-5 if "batch" in layout else 1e-6)

    @pytest.mark.parametrize("nm", [4, 8, 64])
    def test_the_number_of_prototypes_is_the_files_own(self, nm):
        network = Network.open(tiny_onnx.tiny(2, nm))
        assert (network.contract.class_count, network.contract.coefficient_count) == (2, nm)
        assert [array.shape for array in network.run(photos())[0]] == [(6 + nm, 126), (nm, 16, 24)]

    def test_float16_files_take_and_give_float32(self):
        tensor = photos()
        network = Network.open(tiny_onnx.tiny(fp16=True))
        assert network.contract.input_dtype == np.float16
        [(candidates, prototypes)] = network.run(tensor)
        [(expected, expected_prototypes)] = Network.open(tiny_onnx.tiny()).run(tensor)
        # float16 keeps 11 bits: 1/2048 of the value; the input is rounded too
        assert candidates.dtype == prototypes.dtype == np.float32
        np.testing.assert_allclose(candidates, expected, rtol=2e-3, atol=1e-2)
        np.testing.assert_allclose(prototypes, expected_prototypes, rtol=2e-3, atol=1e-2)

    @pytest.mark.parametrize("height", [32, 64])
    def test_fewer_anchors_than_channels_do_not_turn_the_candidates(self, height):
        # 32x32 has 16 + 4 + 1 = 21 anchors, fewer than 37 channels (ambiguity of the reference, section 4)
        for transposed in (False, True):
            network = Network.open(tiny_onnx.tiny(height=height, width=32, transposed=transposed))
            [(candidates, _)] = network.run(photos(1, height, 32))
            assert candidates.shape == (37, 21 * height // 32)
            assert candidates[0, :4].tolist() == [4, 12, 20, 28]

    @given(nc=st.integers(1, 12), nm=st.integers(1, 6), count=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
    @settings(deadline=None, max_examples=60)
    def test_numbers_come_through_whatever_the_counts(self, nc, nm, count, seed):
        # Counts where a transposed or NMS layout would have the same shape: the names of the classes tell.
        rng = np.random.default_rng(seed)
        parts = [rng.random((count, 4)) * 32, rng.random((count, nc)), rng.normal(size=(count, nm))]
        planes = rng.normal(size=(nm, 8, 8)).astype(np.float32)
        model = tiny_onnx.known(*parts, planes, metadata=tiny_onnx.ultralytics_metadata(nc))
        network = Network.open(model)
        assert network.contract.class_count == nc
        [(candidates, prototypes)] = network.run(photos(1, 32, 32))
        np.testing.assert_array_equal(candidates, np.concatenate(parts, axis=1).T.astype(np.float32))
        np.testing.assert_array_equal(prototypes, planes)

    @pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
    def test_one_class_needs_no_names(self, count):
        # With nm = 2 a row of 7 numbers could be one class transposed, 8 also NMS.
        model = tiny_onnx.known(np.full((count, 4), 8), np.full(count, 0.5), np.ones((count, 2)), np.ones((2, 8, 8)))
        assert Network.open(model).contract.class_count == 1

    def test_columns_follow_the_strides_row_by_row(self):
        # NET-01: stride 8, 16, 32; rows of cells from the top, cells from the left, centres at half a cell. The builder
        # keeps to it, so results look like an export's.
        [(candidates, _)] = Network.open(tiny_onnx.tiny()).run(photos())
        centres = [
            ((column + 0.5) * stride, (row + 0.5) * stride)
            for stride in (8, 16, 32)
            for row in range(64 // stride)
            for column in range(96 // stride)
        ]
        np.testing.assert_allclose(candidates[:2].T, centres)

    @pytest.mark.parametrize(
        ("height", "width", "batch", "anchors"), [(64, 64, 1, 84), (64, 96, 1, 126), (96, 128, 2, 252)]
    )
    def test_shapes_of_net_03(self, height, width, batch, anchors):
        fixed = {"height": height, "width": width, "batch": batch}
        for sizes in (fixed, {"symbolic_channels": True}):
            network = Network.open(tiny_onnx.tiny(**sizes, metadata=tiny_onnx.ultralytics_metadata()))
            results = network.run(photos(batch, height, width))
            shapes = [array.shape for result in results for array in result]
            assert shapes == [(37, anchors), (32, height // 4, width // 4)] * batch


class TestNmsInside:
    @pytest.mark.parametrize("nc", [1, 2, 3])
    @pytest.mark.parametrize("flag", [None, False, True])
    def test_rows_become_candidates_of_one_class(self, nc, flag):
        metadata = None if flag is None else tiny_onnx.ultralytics_metadata(nc, nms=flag)
        model, tensor = tiny_onnx.tiny(nc, nms_inside=True, metadata=metadata), photos(2)
        network = Network.open(model)
        assert network.contract.nms_inside
        assert network.contract.class_count == 1
        rows = raw(model, tensor)["output0"]
        for photo, (candidates, prototypes) in zip(rows, network.run(tensor), strict=True):
            assert candidates.shape == (37, 20)
            assert prototypes.shape == (32, 16, 24)
            half = candidates[2:4] / 2
            np.testing.assert_allclose(candidates[:2] - half, photo[:, :2].T, atol=1e-4)
            np.testing.assert_allclose(candidates[:2] + half, photo[:, 2:4].T, atol=1e-4)
            np.testing.assert_array_equal(candidates[4], photo[:, 4])
            np.testing.assert_array_equal(candidates[5:], photo[:, 6:].T)

    def test_padding_rows_have_score_0(self):
        model, tensor = tiny_onnx.tiny(nms_inside=True, nms_rows=84), photos(1, 64, 64)
        [(candidates, _)] = Network.open(model).run(tensor)
        padding = ~candidates[5:].any(axis=0)
        assert 0 < padding.sum() < 84
        assert not candidates[4, padding].any()
        assert (candidates[4, ~padding] > 0.25).all()

    @pytest.mark.parametrize("value", [0.0, -1.0])
    @pytest.mark.parametrize("rows", [20, 84])
    def test_nothing_found_is_all_padding(self, value, rows):
        # Some exporters pad with -1. 84 rows are as many as 64x64 has anchors: no reason to doubt the boxes' scale.
        model = tiny_onnx.constant(
            {"images": (1, 3, 64, 64)},
            {"rows": (1, rows, 38), "prototypes": (1, 32, 16, 16)},
            value=value,
            metadata={"end2end": "True"},
        )
        [(candidates, _)] = Network.open(model).run(photos(1, 64, 64))
        assert candidates.shape == (37, rows)
        assert not candidates[4].any()

    def test_any_number_of_rows_also_none(self):
        # Cut the padding rows off inside the graph: k differs from photo to photo, 0 for the grey one of opening.
        model = onnx.load_from_string(tiny_onnx.tiny(batch=1, nms_inside=True))
        producer = next(node for node in model.graph.node if "output0" in node.output)
        producer.output[0] = "rows"
        for name, value in {"begin": [4], "end": [5], "axis": [2], "flat": [-1]}.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.6), "least"))
        for operator, inputs, output in [
            ("Slice", ["rows", "begin", "end", "axis"], "scores"),
            ("Greater", ["scores", "least"], "good"),
            ("Reshape", ["good", "flat"], "good_flat"),
        ]:
            model.graph.node.append(onnx.helper.make_node(operator, inputs, [output]))
        model.graph.node.append(onnx.helper.make_node("Compress", ["rows", "good_flat"], ["output0"], axis=1))
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "k"
        network = Network.open(model.SerializeToString())
        assert network.contract.nms_inside
        grey = np.full((1, 3, 64, 96), 0.5, np.float32)
        counts = [network.run(tensor)[0][0].shape for tensor in (grey, photos())]
        assert counts[0] == (37, 0)
        assert counts[1][1] > 0

    @pytest.mark.parametrize("flag", [None, False, True])
    def test_nms_16_300_rows_are_not_300_channels(self, flag):
        # 128x128 has 256 + 64 + 16 = 336 anchors; ultralytics reads (1, 300, 38) without a flag as 300 channels
        metadata = None if flag is None else tiny_onnx.ultralytics_metadata(nms=flag)
        network = Network.open(tiny_onnx.tiny(height=128, width=128, nms_inside=True, nms_rows=300, metadata=metadata))
        [(candidates, _)] = network.run(photos(1, 128, 128))
        assert candidates.shape == (37, 300)

    def test_the_flag_end2end_counts(self):
        # 38 rows of 38 numbers: without the flag, channels first with 2 classes is the likelier reading
        metadata = {"end2end": "True"}
        network = Network.open(tiny_onnx.tiny(nms_inside=True, nms_rows=38, metadata=metadata))
        assert network.contract.nms_inside

    def test_the_names_tell_as_well(self):
        # The same shape; one name fits NMS only.
        metadata = tiny_onnx.ultralytics_metadata(1)
        assert Network.open(tiny_onnx.tiny(nms_inside=True, nms_rows=38, metadata=metadata)).contract.nms_inside

    def test_names_of_another_network_do_not_make_nms(self):
        # As many rows as anchors, whatever the names say.
        network = Network.open(tiny_onnx.tiny(2, transposed=True, metadata=tiny_onnx.ultralytics_metadata(80)))
        assert (network.contract.nms_inside, network.contract.class_count) == (False, 2)

    @pytest.mark.parametrize("transposed", [False, True])
    def test_two_classes_have_as_many_channels_and_no_nms(self, transposed):
        # 4 + 2 + 32 = 6 + 32: the number of anchors tells
        network = Network.open(tiny_onnx.tiny(2, transposed=transposed))
        assert not network.contract.nms_inside
        assert network.contract.class_count == 2

    @pytest.mark.parametrize("unrolled", [1, 2])
    def test_nms_that_was_unrolled_for_some_photos_gets_no_more_at_a_time(self, unrolled):
        # `yolo export nms=True dynamic=True batch=2`: the input says any number, beyond the second nothing is found.
        metadata = tiny_onnx.ultralytics_metadata(nms=True) | {"batch": str(unrolled)}
        model = tiny_onnx.tiny(nms_inside=True, nms_unrolled=unrolled, metadata=metadata)
        tensor = photos(5)
        assert not raw(model, tensor)["output0"][unrolled:].any()
        network = Network.open(model)
        assert network.contract.batch == unrolled
        expected = Network.open(tiny_onnx.tiny(nms_inside=True)).run(tensor)
        assert all(candidates[4].any() for candidates, _ in expected)
        assert_same(network.run(tensor), expected, tolerance=2e-5)

    def test_nms_without_metadata_gets_one_photo_at_a_time_and_end_to_end_networks_any(self):
        assert Network.open(tiny_onnx.tiny(nms_inside=True, nms_unrolled=1)).contract.batch == 1
        assert Network.open(tiny_onnx.tiny(nms_inside=True, metadata={"end2end": "True"})).contract.batch is None

    def test_boxes_from_0_to_1_are_an_error(self):
        # Rows of onnx2tf: x1, y1, x2, y2 as shares of the input, score, class; the last is padding.
        rows = np.array([[0.1, 0.2, 0.9, 0.8, 0.7, 0], [0.4, 0.1, 1.002, 0.3, 0.5, 0], [0, 0, 0, 0, 0, 0]])
        for scale, metadata in ((1, None), (1, {"end2end": "True"}), (32, None)):
            parts = rows[:, :4] * scale, rows[:, 4:], np.ones((3, 2)), np.ones((2, 8, 8))
            network = Network.open(tiny_onnx.known(*parts, transposed=True, metadata=metadata))
            assert network.contract.nms_inside
            if scale == 1:
                with pytest.raises(ModelError, match="pixels of the input"):
                    network.run(photos(1, 32, 32))
            else:
                [(candidates, _)] = network.run(photos(1, 32, 32))
                np.testing.assert_allclose(candidates[:4, 0], [16, 16, 25.6, 19.2], rtol=1e-6)

    def test_a_dynamic_network_that_needs_300_candidates_is_not_fixed(self):
        # YOLO26's own end: the 300 best of all candidates. 64x64 has 84, 320x320 has 2100.
        metadata = {"end2end": "True", "imgsz": "[640, 640]"}
        network = Network.open(tiny_onnx.tiny(nms_inside=True, nms_rows=300, metadata=metadata))
        assert (network.contract.height, network.contract.width) == (None, None)
        for height, width in ((320, 320), (160, 640)):
            assert network.run(photos(1, height, width))[0].candidates.shape == (37, 300)


class TestObjectness:
    """YOLOv5-seg and YOLOv7-seg: three candidates a cell, each with an objectness before the scores of its classes."""

    # 32x32 pixels have 16 + 4 + 1 = 21 cells.
    COUNT = 3 * 21

    def parts(self, nc, nm=2, seed=0):
        rng = np.random.default_rng(seed)
        boxes, scores = rng.random((self.COUNT, 4)) * 32, rng.random((self.COUNT, 1 + nc))
        return [each.astype(np.float32) for each in (boxes, scores, rng.normal(size=(self.COUNT, nm)))]

    @pytest.mark.parametrize("nc", [1, 2, 80])
    @pytest.mark.parametrize("transposed", [True, False])
    @pytest.mark.parametrize("named", [False, True])
    def test_the_score_is_objectness_times_class(self, nc, transposed, named):
        boxes, scores, weights = self.parts(nc)
        metadata = {"stride": "32", "names": str([f"class {index}" for index in range(nc)])} if named else None
        planes = np.ones((2, 8, 8))
        network = Network.open(
            tiny_onnx.known(boxes, scores, weights, planes, transposed=transposed, metadata=metadata)
        )
        contract = network.contract
        assert (contract.class_count, contract.objectness, contract.nms_inside) == (nc, True, False)
        assert len(contract.names) == named * nc
        assert contract.description.startswith("YOLOv5-seg network")
        [(candidates, _)] = network.run(photos(1, 32, 32))
        expected = np.concatenate([boxes, scores[:, :1] * scores[:, 1:], weights], axis=1)
        np.testing.assert_array_equal(candidates, expected.T)

    @pytest.mark.parametrize("nc", [1, 80])
    def test_the_shapes_of_an_export_of_640_pixels(self, nc):
        # 80 * 80 + 40 * 40 + 20 * 20 = 8400 cells; YOLOv7's exports have their three heads beside.
        heads = {f"head{side}": (1, 3, side, side, 37 + nc) for side in (80, 40, 20)}
        outputs = {"output0": (1, 25200, 37 + nc), **heads, "output1": (1, 32, 160, 160)}
        contract = Network.open(tiny_onnx.constant({"images": (1, 3, 640, 640)}, outputs)).contract
        assert (contract.class_count, contract.objectness, contract.coefficient_count) == (nc, True, 32)

    def test_neither_factor_may_be_out_of_range(self):
        boxes, scores, weights = self.parts(1)
        scores[5] = -3, -0.2  # before the sigmoid; their product is 0.6
        network = Network.open(tiny_onnx.known(boxes, scores, weights, np.ones((2, 8, 8)), transposed=True))
        with pytest.raises(ModelError, match="sigmoid"):
            network.run(photos(1, 32, 32))

    def test_boxes_from_0_to_1_are_an_error(self):
        boxes, scores, weights = self.parts(1)
        network = Network.open(tiny_onnx.known(boxes / 32, scores, weights, np.ones((2, 8, 8)), transposed=True))
        with pytest.raises(ModelError, match="pixels of the input"):
            network.run(photos(1, 32, 32))


class TestBatches:
    @pytest.mark.parametrize("batch", [None, 1, 2, 3, 5])
    @pytest.mark.parametrize("count", [0, 1, 2, 4])
    def test_any_number_of_photos_goes_through_any_batch(self, batch, count):
        tensor = photos(count)
        single = Network.open(tiny_onnx.tiny())
        expected = [single.run(photo[None])[0] for photo in tensor]
        assert_same(Network.open(tiny_onnx.tiny(batch=batch)).run(tensor), expected, tolerance=2e-5)

    def test_a_graph_that_means_one_photo_gets_them_one_by_one(self):
        # The input says any batch, the outputs say 1.
        model = onnx.load_from_string(tiny_onnx.tiny(batch=1, height=64, width=96))
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
        network = Network.open(model.SerializeToString())
        assert network.contract.batch == 1
        assert len(network.run(photos(3))) == 3


class TestContract:
    def test_all_that_a_file_says(self):
        metadata = tiny_onnx.ultralytics_metadata(2, (480, 640)) | {"conf": "0.31", "iou": "0.8", "refine": "True"}
        network = Network.open(tiny_onnx.tiny(2, metadata=metadata))
        contract = network.contract
        assert (contract.height, contract.width, contract.batch, contract.stride) == (None, None, None, 32)
        assert contract.imgsz == (480, 640)
        assert (contract.conf, contract.iou, contract.refine) == (0.31, 0.8, True)
        assert contract.names == {0: "class 0", 1: "class 1"}
        assert contract.input_name == "images"
        assert contract.input_dtype == np.float32
        assert contract.description == (
            "YOLOv8-seg network: 2 classes, 32 prototypes, input float32 n*32 x n*32 px, any number per run"
        )
        assert network.providers == ["CPUExecutionProvider"]

    def test_a_fixed_size_is_height_and_width_not_the_reverse(self):
        contract = Network.open(tiny_onnx.tiny(height=64, width=96, batch=1)).contract
        assert (contract.height, contract.width, contract.batch) == (64, 96, 1)
        assert "96 x 64 px, 1 per run" in contract.description

    def test_a_file_that_says_nothing(self):
        contract = Network.open(tiny_onnx.tiny(3)).contract
        assert (contract.class_count, contract.stride, contract.names) == (3, 32, {})
        assert (contract.imgsz, contract.conf, contract.iou, contract.refine) == (None, None, None, None)

    def test_nms_10_coefficients_are_never_classes(self):
        # The vector's rows: cx, cy, w, h, score, two coefficients. Taking all that trails as classes gives 0.9 first.
        rows = np.array([[5, 5, 10, 10, 0.1, 0.9, 0.0], [25, 5, 10, 10, 0.3, -1.0, 0.2]], np.float32)
        model = tiny_onnx.known(rows[:, :4], rows[:, 4], rows[:, 5:], np.ones((2, 8, 8)))
        network = Network.open(model)
        [(candidates, _)] = network.run(photos(1, 32, 32))
        assert network.contract.class_count == 1
        np.testing.assert_array_equal(candidates, rows.T)

    def test_nms_14_names_that_do_not_fit_are_left_out(self, caplog):
        # Both loaders of the reference assume 999 classes where a file says none.
        metadata = {"names": str({index: f"class{index}" for index in range(999)})}
        with caplog.at_level(logging.WARNING, "fastsam_onnx"):
            contract = Network.open(tiny_onnx.tiny(metadata=metadata)).contract
        assert (contract.class_count, contract.names) == (1, {})
        assert "999 names" in caplog.text

    @pytest.mark.parametrize(
        ("key", "value", "field", "expected"),
        [
            ("names", "['object']", "names", {0: "object"}),
            ("names", '{"0": "object"}', "names", {0: "object"}),
            ("imgsz", "640", "imgsz", (640, 640)),
            ("imgsz", "[640]", "imgsz", (640, 640)),
            ("imgsz", "(480, 640)", "imgsz", (480, 640)),
            ("stride", "[8, 16, 32]", "stride", 32),
            ("stride", "64", "stride", 64),
            ("stride", "32.0", "stride", 32),
            ("conf", "1", "conf", 1.0),
        ],
    )
    def test_metadata_in_other_spellings(self, key, value, field, expected):
        contract = Network.open(tiny_onnx.tiny(metadata={key: value})).contract
        assert getattr(contract, field) == expected

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("names", "__import__('os').getcwd()"),
            ("names", "{0: 'object'"),
            ("names", "object"),
            ("names", "7"),
            ("names", "{'first': 'object'}"),
            ("names", "[" * 5000),
            ("imgsz", "[640, 640, 3]"),
            ("imgsz", "[-1, 640]"),
            ("imgsz", "[640.5, 640]"),
            ("imgsz", "'640'"),
            ("stride", "0"),
            ("stride", "31"),
            ("stride", "[]"),
            ("stride", ""),
            ("conf", "1.5"),
            ("conf", "nan"),
            ("conf", "'high'"),
            ("conf", "True"),
            ("refine", "1"),
            ("iou", "[0.7]"),
            ("end2end", "maybe"),
            ("args", "[1]"),
            ("batch", "0"),
            ("batch", "many"),
        ],
    )
    def test_metadata_that_make_no_sense_are_ignored_with_a_warning(self, caplog, key, value):
        with caplog.at_level(logging.WARNING, "fastsam_onnx"):
            contract = Network.open(tiny_onnx.tiny(metadata={key: value})).contract
        assert contract == Network.open(tiny_onnx.tiny()).contract
        assert f"metadata {key}=" in caplog.text

    def test_a_file_called_dynamic_that_runs_at_one_size_only_is_fixed(self):
        model = onnx.load_from_string(tiny_onnx.tiny(metadata=tiny_onnx.ultralytics_metadata(imgsz=(64, 96))))
        for node in model.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = "reshaped" if name == "images" else name
        shape = onnx.numpy_helper.from_array(np.array([-1, 3, 64, 96]), "baked")
        model.graph.initializer.append(shape)
        model.graph.node.insert(0, onnx.helper.make_node("Reshape", ["images", "baked"], ["reshaped"]))
        contract = Network.open(model.SerializeToString()).contract
        assert (contract.height, contract.width) == (64, 96)


class TestMismatch:
    """Files of another kind: the message says what was found and what is accepted."""

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            (lambda: tiny_onnx.tiny(raw_heads=True), "raw heads before decoding"),
            (lambda: tiny_onnx.tiny(raw_heads=True, height=64, width=64), "raw heads before decoding"),
            (lambda: tiny_onnx.tiny(detection_only=True), "no prototypes"),
            (lambda: tiny_onnx.tiny(height=80, width=96), "multiples of the stride 32"),
            (lambda: tiny_onnx.constant({"x": (1, 3, 224, 224)}, {"y": (1, 1000)}), "classification"),
            (lambda: tiny_onnx.constant({"x": (1, 3, 128, 128)}, {"y": (1, 256, 8, 8)}), "image encoder"),
            (lambda: tiny_onnx.constant({"x": (1, 64, 64, 3)}, {"y": (1, 1000)}), "NHWC"),
            (lambda: tiny_onnx.constant({"x": ("n", "h", "w", 3)}, {"y": (1, 1000)}), "NHWC"),
            (lambda: tiny_onnx.constant({"x": (1, 1, 64, 64)}, {"y": (1, 1000)}), "1 channels"),
            (lambda: tiny_onnx.constant({"x": (1, 77)}, {"y": (1, 512)}), "not a batch of pictures"),
            (lambda: tiny_onnx.constant({"x": (1, 3, 64, 64), "z": (2,)}, {"y": (1, 512)}), "2 inputs"),
            (
                lambda: tiny_onnx.constant(
                    {"x": (1, 3, 64, 64)},
                    {"a": (1, 37, 84), "b": (1, 32, 16, 16)},
                    input_kind=TensorProto.UINT8,
                ),
                r"its input is tensor\(uint8\)",
            ),
            (
                lambda: tiny_onnx.constant(
                    {"x": (1, 3, 64, 64)},
                    {"a": (1, 37, 84), "b": (1, 32, 16, 16)},
                    output_kind=TensorProto.INT8,
                ),
                "neither candidates nor prototypes",
            ),
            (
                lambda: tiny_onnx.constant({"x": (1, 3, 64, 64)}, {"a": (1, 37, 84), "b": (1, 16, 16, 32)}),
                "no output has the prototypes' shape",
            ),
            (
                lambda: tiny_onnx.constant({"x": (1, 3, 64, 64)}, {"a": (1, 36, 21), "b": (1, 32, 16, 16)}),
                "with 32 prototypes candidates have 37 channels at least",
            ),
            (
                lambda: tiny_onnx.constant(
                    {"x": (1, 3, 64, 64)}, {"a": (1, 32, 84), "c": (1, 32, 84), "b": (1, 32, 16, 16)}
                ),
                "which of a and c",
            ),
            (
                lambda: tiny_onnx.constant(
                    {"x": (1, 3, 64, 64)},
                    {"a": (1, 4, 84), "c": (1, 1, 84), "d": (1, 32, 84), "b": (1, 32, 16, 16)},
                ),
                "3 outputs may be candidates",
            ),
        ],
    )
    def test_what_was_found_and_what_is_accepted(self, model, reason):
        with pytest.raises(ModelError, match=reason) as caught:
            Network.open(model())
        message = str(caught.value)
        assert re.search(r"found: input (x|images) \(.*output ", message)
        assert "accepted: a YOLOv8-seg export" in message
        assert "yolo export" in message

    def test_a_dynamic_file_that_cannot_run_says_why(self):
        model = onnx.load_from_string(tiny_onnx.tiny())
        model.graph.node.insert(0, onnx.helper.make_node("Reshape", ["images", "baked"], ["unused"]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 7]), "baked"))
        model.graph.output.append(onnx.helper.make_tensor_value_info("unused", TensorProto.FLOAT, [7, 7]))
        with pytest.raises(ModelError, match=r"fails on an input \(1, 3, 64, 64\).*(?s:.*)accepted"):
            Network.open(model.SerializeToString())


class TestFiles:
    def test_the_path_may_be_a_string_a_path_or_bytes(self, tmp_path):
        path = tmp_path / "tiny.onnx"
        path.write_bytes(tiny_onnx.tiny())
        tensor = photos()
        expected = Network.open(tiny_onnx.tiny()).run(tensor)
        for source in (path, str(path)):
            network = Network.open(source)
            assert network.name == "tiny.onnx"
            assert_same(network.run(tensor), expected)

    def test_no_such_file(self, tmp_path):
        with pytest.raises(ModelNotFoundError, match=r"nothing\.onnx"):
            Network.open(tmp_path / "nothing.onnx")
        with pytest.raises(FileNotFoundError):
            Network.open(str(tmp_path / "nothing.onnx"))

    def test_a_folder(self, tmp_path):
        with pytest.raises(ModelError, match="folder"):
            Network.open(tmp_path)

    @pytest.mark.parametrize("name", ["x" * 5000, "null\0character.onnx"])
    def test_a_name_that_no_file_can_have(self, tmp_path, name):
        with pytest.raises(ModelError, match=r"cannot be read|there is no"):
            Network.open(tmp_path / name)

    @pytest.mark.parametrize("name", ["empty.onnx", "empty.pt"])
    def test_an_empty_file(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ModelError, match=f"{name} is empty"):
            Network.open(tmp_path / name)

    @pytest.mark.parametrize(
        ("name", "head"), [("a.pt", b"PK\x03\x04"), ("a.PT", b"\x80\x02"), ("b.onnx", b"PK\x03\x04")]
    )
    def test_a_checkpoint_is_told_by_name_or_content(self, tmp_path, name, head):
        (tmp_path / name).write_bytes(head + bytes(100))
        with pytest.raises(CheckpointError, match=re.escape(name)):
            Network.open(tmp_path / name)

    @pytest.mark.parametrize("content", [b"hello", b"\x08", bytes(1000), b"<!DOCTYPE html>"])
    def test_no_onnx(self, content):
        with pytest.raises(ModelError, match="cannot open"):
            Network.open(content)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
    def test_a_file_cut_short(self, share):
        whole = tiny_onnx.tiny()
        with pytest.raises(ModelError):
            Network.open(whole[: int(len(whole) * share)])

    def test_options_reach_the_runtime(self):
        with pytest.raises(OptionError, match="threads"):
            Network.open(tiny_onnx.tiny(), threads=0)
        with pytest.raises(OptionError, match="MoonExecutionProvider"):
            Network.open(tiny_onnx.tiny(), providers=["MoonExecutionProvider"])


class TestSessions:
    def test_a_ready_session_is_used(self):
        session = ort.InferenceSession(tiny_onnx.tiny(), providers=["CPUExecutionProvider"])
        network = Network.from_session(session)
        assert network.providers == ["CPUExecutionProvider"]
        assert_same(network.run(photos()), Network.open(tiny_onnx.tiny()).run(photos()), tolerance=1e-6)
        network.close()
        session.run(None, {"images": photos()})  # it stays the caller's

    def test_something_else_is_no_session(self):
        with pytest.raises(ModelError, match=r"InferenceSession.* 42"):
            Network.from_session(42)

    def test_closed_means_closed(self):
        with Network.open(tiny_onnx.tiny()) as network:
            network.run(photos())
        with pytest.raises(ModelError, match="closed"):
            network.run(photos())
        network.close()
        assert network.contract.class_count == 1

    def test_a_network_does_not_pickle(self):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(Network.open(tiny_onnx.tiny()))

    def test_threads_share_a_network(self):
        network = Network.open(tiny_onnx.tiny(3), threads=1)
        tensors = [photos(1, 64, 96, seed) for seed in range(24)]
        expected = [network.run(tensor) for tensor in tensors]
        with ThreadPoolExecutor(8) as pool:
            for results, wanted in zip(pool.map(network.run, tensors), expected, strict=True):
                assert_same(results, wanted)

    def test_nothing_is_printed(self, capfd):
        with Network.open(tiny_onnx.tiny(metadata=tiny_onnx.ultralytics_metadata())) as network:
            network.run(photos())
        with pytest.raises(ModelError):
            Network.open(tiny_onnx.tiny(raw_heads=True))
        assert capfd.readouterr() == ("", "")


class TestRuns:
    @pytest.mark.parametrize(
        "shape", [(1, 3, 64, 65), (1, 3, 48, 64), (1, 1, 64, 64), (3, 64, 64), (1, 64, 64, 3), (1, 3, 0, 64)]
    )
    def test_a_tensor_that_does_not_fit(self, shape):
        with pytest.raises(ModelError, match=r"takes float32 \(batch, 3, n\*32, n\*32\).*float32 "):
            Network.open(tiny_onnx.tiny()).run(np.zeros(shape, np.float32))

    def test_another_type_is_not_taken_for_0_to_1(self):
        with pytest.raises(ModelError, match="uint8"):
            Network.open(tiny_onnx.tiny()).run(np.zeros((1, 3, 64, 64), np.uint8))

    def test_a_fixed_size_takes_no_other(self):
        network = Network.open(tiny_onnx.tiny(height=64, width=96))
        with pytest.raises(ModelError, match=r"\(batch, 3, 64, 96\)"):
            network.run(photos(1, 96, 64))

    def test_the_tensor_is_left_alone(self):
        tensor = photos(2)
        copy = tensor.copy()
        for batch in (None, 1, 3):
            Network.open(tiny_onnx.tiny(batch=batch)).run(tensor)
        np.testing.assert_array_equal(tensor, copy)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("place", ["boxes", "scores", "coefficients", "prototypes"])
    def test_nan_and_infinity_are_errors_not_masks(self, bad, place):
        self.refuse(place, [bad])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("place", ["boxes", "coefficients"])
    @pytest.mark.parametrize("score", [0.0, 0.001])
    def test_candidates_that_nobody_takes_may_hold_anything(self, bad, place, score):
        # Half precision overflows in anchors of empty places.
        parts = {"boxes": np.full((3, 4), 8.0), "scores": np.full((3, 1), 0.5), "coefficients": np.ones((3, 2))}
        parts["scores"][1] = score
        parts[place][1, 0] = bad
        network = Network.open(tiny_onnx.known(*parts.values(), np.ones((2, 8, 8))))
        [(candidates, _)] = network.run(photos(1, 32, 32))
        assert np.isfinite(candidates[:, [0, 2]]).all()
        assert candidates[4].tolist() == [0.5, np.float32(score), 0.5]

    @pytest.mark.parametrize("bad", [[np.inf, -np.inf], [3e38, 3e38]])
    def test_no_sum_hides_them_or_warns(self, bad):
        self.refuse("prototypes", bad)

    def refuse(self, place, bad):
        parts = {
            "boxes": np.full((3, 4), 8.0),
            "scores": np.full((3, 1), 0.5),
            "coefficients": np.ones((3, 2)),
            "prototypes": np.ones((2, 8, 8)),
        }
        parts[place].flat[1 : 1 + len(bad)] = bad
        network = Network.open(tiny_onnx.known(*parts.values()))
        with pytest.raises(ModelError, match="NaN or infinite"):
            network.run(photos(1, 32, 32))

    def test_outputs_of_another_size_are_an_error(self):
        model = tiny_onnx.constant(
            {"images": ("n", 3, "h", "w")}, {"candidates": (1, 37, 84), "prototypes": (1, 32, 16, 16)}
        )
        network = Network.open(model)
        with pytest.raises(ModelError, match=r"\(1, 32, 16, 16\).* \(1, 32, 24, 32\)"):
            network.run(photos(1, 96, 128))

    @pytest.mark.parametrize("score", [1.5, -0.5, 7.0])
    def test_scores_before_the_sigmoid_are_an_error(self, score):
        model = tiny_onnx.known([[8, 8, 4, 4]], [score], [[1, 1]], np.ones((2, 8, 8)))
        with pytest.raises(ModelError, match="sigmoid"):
            Network.open(model).run(photos(1, 32, 32))

    @pytest.mark.parametrize("score", [0.0, 1.0, 1.004, -0.004])
    def test_scores_may_be_rounded_beyond_their_range(self, score):
        model = tiny_onnx.known([[8, 8, 4, 4]], [score], [[1, 1]], np.ones((2, 8, 8)))
        assert Network.open(model).run(photos(1, 32, 32))[0][0][4] == np.float32(score)

    def test_boxes_from_0_to_1_are_an_error(self):
        # 21 candidates are all the anchors of 32x32: their centres cannot all lie in the first pixel.
        boxes = np.random.default_rng(0).random((21, 4))
        model = tiny_onnx.known(boxes, np.full(21, 0.5), np.ones((21, 2)), np.ones((2, 8, 8)))
        with pytest.raises(ModelError, match="pixels"):
            Network.open(model).run(photos(1, 32, 32))


@needs_real
class TestYolov8nSeg:
    """Real weights with 80 classes: dynamic everywhere, symbolic channels."""

    def test_contract(self):
        contract = Network.open(REAL).contract
        assert (contract.height, contract.width, contract.batch) == (None, None, None)
        assert (contract.class_count, contract.coefficient_count, contract.stride) == (80, 32, 32)
        assert contract.imgsz == (640, 640)
        assert (len(contract.names), contract.names[16]) == (80, "dog")

    def test_without_metadata_the_channels_tell(self):
        model = onnx.load(REAL)
        del model.metadata_props[:]
        contract = Network.open(model.SerializeToString()).contract
        assert (contract.class_count, contract.names, contract.imgsz) == (80, {}, None)

    def test_runs(self):
        network, tensor = Network.open(REAL), photos(2, 96, 128)
        results = network.run(tensor)
        assert [array.shape for array in results[0]] == [(116, 252), (32, 24, 32)]
        singles = [network.run(photo[None])[0] for photo in tensor]
        assert_same(results, singles, tolerance=2e-3)
        outputs = raw(REAL, tensor)
        assert_same(results, list(zip(outputs["output0"], outputs["output1"], strict=True)), tolerance=2e-3)
