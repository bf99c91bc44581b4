"""Every layout of an export comes out in the one form."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny_onnx
from support.network_runs import assert_same, photos, raw

from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.layout import Outputs, find_outputs
from fastsam_onnx.network.metadata import Metadata
from fastsam_onnx.network.network import Network
from fastsam_onnx.network.outputs import to_outputs


def decoded(rows):
    """Candidates and labels of rows of detections after NMS, (1, k, 38)."""
    outputs = Outputs("prototypes", ("rows",), "detections after NMS", 1, 32)
    contract = SimpleNamespace(stride=32, class_count=1, coefficient_count=32)
    [found] = to_outputs(np.zeros((1, 32, 16, 24), np.float32), [rows], outputs, contract, (64, 96))
    return found.candidates, found.labels


class TestLayouts:
    def test_the_standard_export_comes_through_as_it_is(self):
        model, tensor = tiny_onnx.tiny(), photos(2)
        outputs = raw(model, tensor)
        results = Network.open(model).run(tensor)
        assert_same(results, list(zip(outputs["output0"], outputs["output1"], strict=True)))
        # (64*96)/64 + (64*96)/256 + (64*96)/1024 = 96 + 24 + 6 anchors
        assert [array.shape for array in results[0][:2]] == [(37, 126), (32, 16, 24)]
        assert all(prototypes.flags.c_contiguous for _, prototypes, _ in results)

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
        assert "NMS" not in network.contract.description
        # Runs of another batch size add in another order.
        assert_same(network.run(tensor), expected, tolerance=2e-5 if "batch" in layout else 1e-6)

    @pytest.mark.parametrize("nm", [4, 8, 64])
    def test_the_number_of_prototypes_is_the_files_own(self, nm):
        network = Network.open(tiny_onnx.tiny(2, nm))
        assert (network.contract.class_count, network.contract.coefficient_count) == (2, nm)
        assert [array.shape for array in network.run(photos())[0][:2]] == [(6 + nm, 126), (nm, 16, 24)]

    def test_float16_files_take_and_give_float32(self):
        tensor = photos()
        network = Network.open(tiny_onnx.tiny(fp16=True))
        assert network.contract.input_dtype == np.float16
        [(candidates, prototypes, _)] = network.run(tensor)
        [(expected, expected_prototypes, _)] = Network.open(tiny_onnx.tiny()).run(tensor)
        # float16 keeps 11 bits: 1/2048 of the value; the input is rounded too
        assert candidates.dtype == prototypes.dtype == np.float32
        np.testing.assert_allclose(candidates, expected, rtol=2e-3, atol=1e-2)
        np.testing.assert_allclose(prototypes, expected_prototypes, rtol=2e-3, atol=1e-2)

    @pytest.mark.parametrize("height", [32, 64])
    def test_fewer_anchors_than_channels_do_not_turn_the_candidates(self, height):
        # 32x32 has 16 + 4 + 1 = 21 anchors, fewer than 37 channels (ambiguity of the reference, section 4)
        for transposed in (False, True):
            network = Network.open(tiny_onnx.tiny(height=height, width=32, transposed=transposed))
            [(candidates, *_)] = network.run(photos(1, height, 32))
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
        [(candidates, prototypes, _)] = network.run(photos(1, 32, 32))
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
        [(candidates, *_)] = Network.open(tiny_onnx.tiny()).run(photos())
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
            shapes = [array.shape for result in results for array in result[:2]]
            assert shapes == [(37, anchors), (32, height // 4, width // 4)] * batch

    @pytest.mark.parametrize("turned", [False, True])
    @pytest.mark.parametrize("swapped", [False, True])
    def test_coefficients_may_be_an_output_of_their_own(self, turned, swapped):
        shapes = {"coefficients": (1, 32, 126), "boxes": (1, 4 + 3, 126)}
        if turned:
            shapes = {name: (1, columns, rows) for name, (_, rows, columns) in shapes.items()}
        shapes = dict(sorted(shapes.items(), reverse=swapped)) | {"prototypes": (1, 32, 16, 24)}
        values = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        found = find_outputs(shapes, values, (64, 96), Metadata())
        layout = "channels last" if turned else "channels first"
        assert found == Outputs("prototypes", ("boxes", "coefficients"), layout, 3, 32)

    def test_a_flag_of_nms_that_the_shape_denies_does_not_count(self):
        """As of a network of end2end that was exported without it."""
        shapes = {"candidates": (1, 37, 126), "prototypes": (1, 32, 16, 24)}
        values = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        found = find_outputs(shapes, values, (64, 96), Metadata(end2end=True))
        assert found == Outputs("prototypes", ("candidates",), "channels first", 1, 32)


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
        for photo, (candidates, prototypes, labels) in zip(rows, network.run(tensor), strict=True):
            assert candidates.shape == (37, 20)
            assert prototypes.shape == (32, 16, 24)
            half = candidates[2:4] / 2
            np.testing.assert_allclose(candidates[:2] - half, photo[:, :2].T, atol=1e-4)
            np.testing.assert_allclose(candidates[:2] + half, photo[:, 2:4].T, atol=1e-4)
            np.testing.assert_array_equal(candidates[4], photo[:, 4])
            np.testing.assert_array_equal(candidates[5:], photo[:, 6:].T)
            np.testing.assert_array_equal(labels, photo[:, 5])

    def test_padding_rows_have_score_0(self):
        model, tensor = tiny_onnx.tiny(nms_inside=True, nms_rows=84), photos(1, 64, 64)
        [(candidates, *_)] = Network.open(model).run(tensor)
        padding = ~candidates[5:].any(axis=0)
        assert 0 < padding.sum() < 84
        assert not candidates[4, padding].any()
        assert (candidates[4, ~padding] > 0.25).all()

    def test_the_class_of_padding_is_none_whatever_stands_beside_it(self):
        rows = np.zeros((1, 3, 38), np.float32)
        rows[0, :, :6] = [(8, 8, 40, 40, 0.5, 2), (8, 8, 40, 40, 0, -1), (8, 8, 40, 40, -1, 9)]
        found, labels = decoded(rows)
        assert found[4].tolist() == [0.5, 0, 0]
        assert labels.tolist() == [2, 0, 0]
        rows[0, 1, 4] = 0.5
        with pytest.raises(ModelError, match="classes after NMS must be indices from 0 on, got -1"):
            decoded(rows)

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
        [(candidates, *_)] = Network.open(model).run(photos(1, 64, 64))
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
        assert network.contract.description.endswith("per run, NMS inside")
        grey = np.full((1, 3, 64, 96), 0.5, np.float32)
        counts = [network.run(tensor)[0][0].shape for tensor in (grey, photos())]
        assert counts[0] == (37, 0)
        assert counts[1][1] > 0

    @pytest.mark.parametrize("flag", [None, False, True])
    def test_nms_16_300_rows_are_not_300_channels(self, flag):
        # 128x128 has 256 + 64 + 16 = 336 anchors; ultralytics reads (1, 300, 38) without a flag as 300 channels
        metadata = None if flag is None else tiny_onnx.ultralytics_metadata(nms=flag)
        network = Network.open(tiny_onnx.tiny(height=128, width=128, nms_inside=True, nms_rows=300, metadata=metadata))
        [(candidates, *_)] = network.run(photos(1, 128, 128))
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
        assert all(candidates[4].any() for candidates, *_ in expected)
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
                [(candidates, *_)] = network.run(photos(1, 32, 32))
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
        assert contract.description.startswith("YOLOv5 segmentation network")
        [(candidates, *_)] = network.run(photos(1, 32, 32))
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
