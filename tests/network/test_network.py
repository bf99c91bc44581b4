"""Networks: files, sessions, batches, runs, and outputs that cannot be right."""

import os
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from support import tiny_onnx
from support.command_line import POSIX
from support.network_runs import assert_same, photos, raw

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import CheckpointError, ModelError, ModelNotFoundError, OptionError
from fastsam_onnx.network.network import Network

REAL = Path(__file__).parents[3] / "shared" / "models" / "yolov8n-seg.onnx"
needs_real = pytest.mark.skipif(not REAL.is_file(), reason="yolov8n-seg.onnx is not beside this checkout")


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
        with pytest.raises(ModelNotFoundError, match=r"a\.onnx; addresses are not opened: fetch the file"):
            Network.open("https://example.org/a.onnx")
        with pytest.raises(ModelNotFoundError, match=r"nothing\.onnx$"):
            Network.open(tmp_path / "nothing.onnx")
        with pytest.raises(FileNotFoundError):
            Network.open(str(tmp_path / "nothing.onnx"))

    def test_a_folder(self, tmp_path):
        with pytest.raises(ModelError, match="folder"):
            Network.open(tmp_path)

    @POSIX
    def test_what_is_no_regular_file_is_not_opened(self):
        """A FIFO was waited for without end."""
        with pytest.raises(ModelError, match=f"{os.devnull} is not a regular file"):
            Network.open(os.devnull)

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

    @pytest.mark.parametrize("threads", [None, 1])
    def test_bytes_of_another_type_are_told_by_their_type_and_not_in_full(self, threads):
        with pytest.raises(ModelError, match=r"must be a path, bytes, .* got bytearray\(") as caught:
            FastSAM(bytearray(tiny_onnx.tiny()), threads=threads)
        assert len(str(caught.value)) < 300

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
            Network.open(tiny_onnx.tiny(detection_only=True))
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
        [(candidates, *_)] = network.run(photos(1, 32, 32))
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
        assert [array.shape for array in results[0][:2]] == [(116, 252), (32, 24, 32)]
        singles = [network.run(photo[None])[0] for photo in tensor]
        assert_same(results, singles, tolerance=2e-3)
        outputs = raw(REAL, tensor)
        assert_same(results, list(zip(outputs["output0"], outputs["output1"], strict=True)), tolerance=2e-3)
