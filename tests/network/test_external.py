"""Networks that another runtime computes: everything that a file can do, they can."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from support import tiny_onnx

from fastsam_onnx import FastSAM
from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.convert import export
from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.network import ExternalNetwork

TINY = Path(__file__).parents[1] / "data" / "tiny.pt"
SIZE = (96, 128)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same network, whole and cut before the decoding."""
    folder, read = tmp_path_factory.mktemp("networks"), read_checkpoint(TINY)
    export(read, folder / "whole.onnx", imgsz=SIZE)
    export(read, folder / "cut.onnx", imgsz=SIZE, raw=True)
    return folder


@pytest.fixture
def photo():
    return np.random.default_rng(5).integers(0, 256, (90, 130, 3), np.uint8)


def accelerator(model, change=lambda outputs: outputs):
    """A runtime like Hailo's: (height, width, 3) uint8 in; channels last, scores behind the sigmoid out."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(picture):
        assert picture.shape == (*SIZE, 3)
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous
        tensor = picture.astype(np.float32).transpose(2, 0, 1)[None] / 255
        values = dict(zip(names, session.run(names, {"images": tensor}), strict=True))
        for name, value in values.items():
            if value.shape[1] == 1:
                values[name] = 1 / (1 + np.exp(-value))
        return change({name: value.transpose(0, 2, 3, 1) for name, value in values.items() if value.ndim == 4})

    return run


def assert_same(found, expected):
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert all(a.iou(b) > 0.999 for a, b in zip(found.masks, expected.masks, strict=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs: outputs,
        lambda outputs: {name: value[0] for name, value in outputs.items()},
        lambda outputs: {name: value.transpose(0, 3, 1, 2) for name, value in outputs.items()},
        lambda outputs: [value.astype(np.float64) for value in reversed(outputs.values())],
    ],
    ids=["channels last", "without a batch", "channels first", "a list"],
)
def test_raw_heads_of_an_accelerator_give_what_the_file_gives(files, photo, change):
    external = ExternalNetwork(accelerator(str(files / "cut.onnx"), change), SIZE)
    assert (
        external.contract.description
        == "YOLO segmentation network: 1 class, 32 prototypes, input uint8 128 x 96 px, 1 per run"
    )
    model = FastSAM(external, conf=0.01)
    expected = FastSAM(files / "whole.onnx", conf=0.01)(photo)
    found = model(photo)
    assert_same(found, expected)
    assert_same(next(model.stream([photo] * 3)), expected)
    clicked = found.point_prompt([(65, 45)])
    np.testing.assert_allclose(clicked.boxes, expected.point_prompt([(65, 45)]).boxes, atol=1e-3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_decoded_outputs_will_do_as_well(files, photo, channels_last):
    """The candidates have no channels to move: they have three sides, the prototypes four."""
    session = ort.InferenceSession(str(files / "whole.onnx"), providers=["CPUExecutionProvider"])

    def run(picture):
        answer = session.run(None, {"images": picture.transpose(2, 0, 1)[None].astype(np.float32) / 255})
        return [np.moveaxis(each, 1, -1) if channels_last and each.ndim == 4 else each for each in answer]

    assert_same(FastSAM(ExternalNetwork(run, SIZE), conf=0.01)(photo), FastSAM(files / "whole.onnx", conf=0.01)(photo))


def test_names_tell_classes_apart():
    model = tiny_onnx.tiny(3, raw_heads=True, height=96, width=128)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(picture):
        return session.run(None, {"images": picture.transpose(2, 0, 1)[None].astype(np.float32) / 255})

    contract = ExternalNetwork(run, SIZE, names=["cat", "dog", "bird"]).contract
    assert contract.class_names == {0: "cat", 1: "dog", 2: "bird"}
    with pytest.raises(ModelError, match="not clear"):
        ExternalNetwork(run, SIZE, names=["cat", "dog"])


def test_one_thread_at_a_time(files, photo):
    run, inside = accelerator(str(files / "cut.onnx")), []

    def alone(picture):
        inside.append(picture)
        assert len(inside) == 1
        answer = run(picture)
        inside.pop()
        return answer

    model = FastSAM(ExternalNetwork(alone, SIZE), conf=0.01)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(model, [photo] * 8))
    assert len({len(found) for found in results}) == 1


def test_a_runtime_may_fill_the_same_arrays_at_every_call(files, photo):
    """An earlier photo's result keeps its candidates and prototypes."""
    buffers = {}

    def reused(outputs):
        for name, value in outputs.items():
            first = value.transpose(0, 3, 1, 2)  # channels first, so that nothing has to be moved
            buffers.setdefault(name, np.empty_like(first))[:] = first
        return buffers

    model = FastSAM(ExternalNetwork(accelerator(str(files / "cut.onnx"), reused), SIZE), conf=0.01)
    found = model(photo)
    kept = found.candidates.prototypes.copy()
    before = found.point_prompt([(65, 45)])
    model(255 - photo)
    np.testing.assert_array_equal(found.candidates.prototypes, kept)
    assert found.point_prompt([(65, 45)]).masks[0].rle() == before.masks[0].rle()


class TestRefused:
    def test_numbers_that_are_not_dequantized(self, files):
        run = accelerator(str(files / "cut.onnx"), lambda outputs: {k: v.astype(np.uint8) for k, v in outputs.items()})
        with pytest.raises(ModelError, match=r"uint8 in Conv_\d+: .*dequantize"):
            ExternalNetwork(run, SIZE)

    def test_outputs_of_no_known_layout(self, files):
        run = accelerator(str(files / "cut.onnx"), lambda outputs: list(outputs.values())[:1])
        with pytest.raises(ModelError, match=r"the NPU: (.|\n)*found: \{'output0': \(1, 64, 12, 16\)\}\n  accepted: "):
            ExternalNetwork(run, SIZE, name="the NPU")

    def test_outputs_that_change(self, files, photo):
        answers = []

        def change(outputs):
            answers.append(outputs)
            return outputs if len(answers) == 1 else dict(list(outputs.items())[:9])

        model = FastSAM(ExternalNetwork(accelerator(str(files / "cut.onnx"), change), SIZE))
        with pytest.raises(ModelError, match="as at first"):
            model(photo)

    def test_numbers_that_cannot_be_right(self, files, photo):
        def change(outputs):
            return [value * np.nan if value.shape[1:] == (24, 32, 32) else value for value in outputs.values()]

        model = FastSAM(ExternalNetwork(accelerator(str(files / "cut.onnx"), change), SIZE))
        with pytest.raises(ModelError, match=r"external network: .*NaN"):
            model(photo)

    def test_a_runtime_that_fails(self):
        def run(picture):
            raise OSError("no device")

        with pytest.raises(ModelError, match=r"\(96, 128, 3\): no device"):
            ExternalNetwork(run, SIZE)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"imgsz": 100}, "multiples of 32, got 100x100"),
            ({"imgsz": (96, 100)}, "got 100x96"),
            ({"imgsz": 0}, "imgsz"),
            ({"imgsz": 96, "stride": 12}, r"8, 16, 32, 64, 128, got 12"),
            ({"imgsz": 96, "names": "cat"}, "list of class names, got 'cat'"),
            ({"imgsz": 96, "names": {0: "cat"}}, r"list of class names, got \{0: 'cat'\}"),
            ({"imgsz": 96, "names": 3}, "list of class names, got 3"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(OptionError, match=message):
            ExternalNetwork(dict, **options)

    @pytest.mark.parametrize("run", [None, "model.hef", {}])
    def test_what_is_no_function(self, run):
        with pytest.raises(OptionError, match=f"run must be a function .*, got {run!r}"):
            ExternalNetwork(run, SIZE)

    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (None, "list of arrays or a dict of them, got None"),
            (np.zeros((2, 3), np.float32), r"list of arrays or a dict of them, got array\("),
            ([[[1.0], [1.0, 2.0]]], "must give arrays, got list in output0: "),
        ],
    )
    def test_answers_that_are_no_arrays(self, answer, found):
        with pytest.raises(ModelError, match=f"the external network .*{found}"):
            ExternalNetwork(lambda picture: answer, SIZE)

    def test_options_of_onnx_runtime_and_other_sizes(self, files, photo):
        external = ExternalNetwork(accelerator(str(files / "cut.onnx")), SIZE)
        with pytest.raises(OptionError, match="ExternalNetwork has none"):
            FastSAM(external, threads=2)
        with pytest.raises(OptionError, match="128x96"):
            FastSAM(external)(photo, imgsz=256)

    def test_pickles_and_closed_ones(self, files, photo):
        model = FastSAM(ExternalNetwork(accelerator(str(files / "cut.onnx")), SIZE))
        with pytest.raises(ModelError, match="ExternalNetwork"):
            pickle.dumps(model)
        model.close()
        with pytest.raises(ModelError, match="closed"):
            model(photo)
