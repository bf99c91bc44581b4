"""The contract of a network, found out when it is opened; files of another kind are told what they are."""

import logging
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from support import tiny_onnx
from support.network_runs import photos

from fastsam_onnx.errors import ModelError
from fastsam_onnx.network.network import Network


class TestContract:
    def test_all_that_a_file_says(self):
        metadata = tiny_onnx.ultralytics_metadata(2, (480, 640))
        metadata |= {"conf": "0.31", "iou": "0.8", "refine": "True", "redraw": "False", "covered": "0.6"}
        network = Network.open(tiny_onnx.tiny(2, metadata=metadata))
        contract = network.contract
        assert (contract.height, contract.width, contract.batch, contract.stride) == (None, None, None, 32)
        assert contract.imgsz == (480, 640)
        assert (contract.conf, contract.iou, contract.refine, contract.redraw) == (0.31, 0.8, True, False)
        assert contract.metadata.covered == 0.6
        assert contract.names == {0: "class 0", 1: "class 1"}
        assert contract.input_name == "images"
        assert contract.input_dtype == np.float32
        assert contract.description == (
            "YOLO segmentation network: 2 classes, 32 prototypes, input float32 n*32 x n*32 px, any number per run"
        )
        assert network.providers == ["CPUExecutionProvider"]

    def test_a_fixed_size_is_height_and_width_not_the_reverse(self):
        contract = Network.open(tiny_onnx.tiny(height=64, width=96, batch=1)).contract
        assert (contract.height, contract.width, contract.batch) == (64, 96, 1)
        assert "96 x 64 px, 1 per run" in contract.description

    def test_a_file_that_says_nothing(self):
        contract = Network.open(tiny_onnx.tiny(3)).contract
        assert (contract.class_count, contract.stride, contract.names) == (3, 32, {})
        assert (contract.imgsz, contract.conf, contract.iou) == (None, None, None)
        assert (contract.refine, contract.redraw, contract.metadata.covered) == (None, None, 0)

    @pytest.mark.parametrize(
        ("names", "told", "kept", "description"),
        [
            ({0: "cup", 1: "dish", 2: "jug"}, 3, {0: "cup", 1: "dish", 2: "jug"}, "3 classes, "),
            ({0: "object"}, 1, None, "1 class, "),
            ({}, None, {}, "unnamed classes, "),
        ],
    )
    def test_classes_behind_nms_inside_are_as_many_as_their_names(self, names, told, kept, description):
        """All were told as 1 class, and without names the objects had no labels, though every one has its class."""
        contract = Network.open(tiny_onnx.tiny(3, nms_inside=True, metadata={"names": str(names)})).contract
        assert (contract.class_count, contract.told_classes, contract.class_names) == (1, told, kept)
        assert f"YOLO segmentation network: {description}" in contract.description

    def test_nms_10_coefficients_are_never_classes(self):
        # The vector's rows: cx, cy, w, h, score, two coefficients. Taking all that trails as classes gives 0.9 first.
        rows = np.array([[5, 5, 10, 10, 0.1, 0.9, 0.0], [25, 5, 10, 10, 0.3, -1.0, 0.2]], np.float32)
        model = tiny_onnx.known(rows[:, :4], rows[:, 4], rows[:, 5:], np.ones((2, 8, 8)))
        network = Network.open(model)
        [(candidates, *_)] = network.run(photos(1, 32, 32))
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
            ("names", "{1e999: 'object'}"),
            ("names", "{-1: 'nothing', 0: 'object'}"),
            ("names", f"{{{2**53 + 1}: 'object'}}"),
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
            ("redraw", "'yes'"),
            ("covered", "-0.1"),
            ("covered", "True"),
            ("covered", "1e9"),
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

    @pytest.mark.parametrize("height", [None, 64])
    def test_outputs_whose_rank_no_file_says_are_found_by_a_run(self, height):
        model = onnx.load_from_string(tiny_onnx.tiny(height=height, width=height))
        # Axes to squeeze that are computed: nothing is known of what is left.
        nodes = [
            onnx.helper.make_node("Shape", ["images"], ["count"], start=0, end=1),
            onnx.helper.make_node("Sub", ["count", "count"], ["first"]),
        ]
        for output in model.graph.output:
            name = output.name
            output.type.tensor_type.ClearField("shape")
            for node in model.graph.node:
                for names in (node.input, node.output):
                    names[:] = [f"{name}_known" if each == name else each for each in names]
            nodes.append(onnx.helper.make_node("Unsqueeze", [f"{name}_known", "first"], [f"{name}_more"]))
            nodes.append(onnx.helper.make_node("Squeeze", [f"{name}_more", "first"], [name]))
        model.graph.node.extend(nodes)
        with Network.open(model.SerializeToString()) as network:
            assert all(not output.shape for output in network._session.get_outputs())
            assert network.contract.batch is None
            assert [len(found) for found in network.run(photos(2, 64, 64))] == [3, 3]


class TestMismatch:
    """Files of another kind: the message says what was found and what is accepted."""

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            (lambda: tiny_onnx.tiny(64, raw_heads=True), "sides, scores and coefficients .* not clear"),
            (
                lambda: tiny_onnx.constant({"x": (1, 3, 64, 64)}, {"a": (1, 64, 8, 8), "b": (1, 64, 4, 4)}),
                "feature maps",
            ),
            (
                lambda: tiny_onnx.constant({"x": (1, 3, 64, 64)}, {"a": (1, 65, 8, 8), "b": (1, 32, 16, 16)}),
                "raw heads have 3 maps of 8 x 8",
            ),
            (lambda: tiny_onnx.tiny(detection_only=True), "no prototypes"),
            (lambda: tiny_onnx.tiny(height=80, width=96), "multiples of the stride 32"),
            (lambda: tiny_onnx.constant({"x": (1, 3, 224, 224)}, {"y": (1, 1000)}), "classification"),
            (lambda: tiny_onnx.constant({"x": (1, 3, 128, 128)}, {"y": (1, 256, 8, 8)}), "image encoder"),
            (lambda: tiny_onnx.constant({"x": (1, 64, 64, 3)}, {"y": (1, 1000)}), "NHWC.*ExternalNetwork"),
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
        assert "accepted: a YOLO segmentation export" in message
        assert "yolo export" in message

    def test_a_dynamic_file_that_cannot_run_says_why(self):
        model = onnx.load_from_string(tiny_onnx.tiny())
        model.graph.node.insert(0, onnx.helper.make_node("Reshape", ["images", "baked"], ["unused"]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 7]), "baked"))
        model.graph.output.append(onnx.helper.make_tensor_value_info("unused", TensorProto.FLOAT, [7, 7]))
        with pytest.raises(ModelError, match=r"fails on an input \(1, 3, 64, 64\).*(?s:.*)accepted"):
            Network.open(model.SerializeToString())
