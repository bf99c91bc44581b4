"""Networks of int8: what becomes integer, what stays as it was, and that nothing is written that lost too much."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter
from support.command_line import POSIX, files_of_at_most

from fastsam_onnx import FastSAM
from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.convert import export
from fastsam_onnx.checkpoints.subpixel import ADDED
from fastsam_onnx.cli.program import main
from fastsam_onnx.errors import ImageError, MissingPackageError, ModelError, OptionError, OutputError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.quantize import qdq, scales
from fastsam_onnx.quantize import recipe as quantize
from fastsam_onnx.quantize.agreement import measure_agreement
from fastsam_onnx.quantize.box_decoding import with_fast_decoding
from fastsam_onnx.quantize.calibration import Activation, dead_leaves, observe_activations
from fastsam_onnx.quantize.kernels import adds_in_32_bits
from fastsam_onnx.quantize.prepare import prepared
from fastsam_onnx.quantize.subpixel import compose, without_transposed
from fastsam_onnx.results.segmentation import Segmentation

TINY = Path(__file__).parents[1] / "data" / "tiny.pt"
PHOTOS = [dead_leaves(seed)[::4, ::4] for seed in range(6)]


def run(model: onnx.ModelProto | bytes, tensor: np.ndarray) -> list[np.ndarray]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: tensor})


def run_file(path: Path, tensor: np.ndarray) -> list[np.ndarray]:
    return run(path.read_bytes(), tensor)


def network_of(
    nodes: list[onnx.NodeProto], constants: dict[str, object], channels: int, outputs: tuple[str, ...] = ("y",)
) -> onnx.ModelProto:
    """A network of input x, (1, channels, h, w)."""
    kinds = {name: np.asarray(values) for name, values in constants.items()}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, "h", "w"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [
            numpy_helper.from_array(each if each.dtype.kind == "i" else each.astype(np.float32), name)
            for name, each in kinds.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, its layers as ultralytics exports them."""
    path = tmp_path_factory.mktemp("quantize") / "tiny.onnx"
    export(read_checkpoint(TINY), path, plain=True)
    return path


@pytest.fixture(scope="module")
def made(exported: Path) -> Path:
    """The tiny checkpoint as int8; its weights are random, so it is forced."""
    path = exported.with_name("tiny.int8.onnx")
    quantize.quantize(TINY, path, PHOTOS, imgsz=96, threads=1, force=True)
    return path


# ---------------------------------------------------------------- the whole


def test_int8_of_a_checkpoint_keeps_its_contract_and_its_numbers(made, exported):
    with FastSAM(TINY, threads=1) as old, FastSAM(made, threads=1) as new:
        assert new.contract == old.contract  # stride, imgsz, names, sizes
    keys = {each.key: each.value for each in onnx.load(made).metadata_props}
    assert keys.pop("quantization").startswith("int8 QDQ")
    assert keys == {each.key: each.value for each in onnx.load(exported).metadata_props}
    tensor = np.stack([picture.transpose(2, 0, 1)[:, :96, :96] for picture in PHOTOS[:2]]).astype(np.float32) / 255
    for old_values, new_values in zip(run(exported.read_bytes(), tensor), run(made.read_bytes(), tensor), strict=True):
        assert np.corrcoef(old_values.ravel(), new_values.ravel())[0, 1] > 0.98


def test_int8_of_our_own_export_whose_layers_are_computed_together(made, tmp_path):
    export(read_checkpoint(TINY), tmp_path / "ours.onnx")
    quantize.quantize(tmp_path / "ours.onnx", tmp_path / "int8.onnx", PHOTOS, imgsz=96, threads=1, force=True)
    tensor = PHOTOS[0].transpose(2, 0, 1)[None, :, :96, :96].astype(np.float32) / 255
    answers = [run(path.read_bytes(), tensor) for path in (tmp_path / "ours.onnx", tmp_path / "int8.onnx", made)]
    for of_float, of_int8, of_checkpoint in zip(*answers, strict=True):
        assert np.corrcoef(of_float.ravel(), of_int8.ravel())[0, 1] > 0.98
        assert np.corrcoef(of_checkpoint.ravel(), of_int8.ravel())[0, 1] > 0.98


def test_onnx_runtime_finds_integer_kernels(made, tmp_path):
    """Every pair is used up: a float operator in the middle would be slow without an error."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    ort.InferenceSession(str(made), options, providers=["CPUExecutionProvider"])
    fused = onnx.load(tmp_path / "fused.onnx")
    found, before = operators(fused), operators(onnx.load(made))
    assert found["ConvTranspose"] == 0
    assert found["QLinearConv"] >= before["Conv"] - 6 - 10  # the first ones at most, and the last of each branch
    assert found["QLinearSigmoid"] == found["QLinearMul"] > 0
    assert found["QLinearConcat"] > 0
    assert found["QuantizeLinear"] <= 2  # where the network begins


def test_a_network_that_lost_too_much_is_not_written(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(quantize, "MINIMUM_RECALL", 1.1)
    target = tmp_path / "out.onnx"
    with pytest.raises(ModelError, match=r"not written.*found again.*force"):
        quantize.quantize(exported, target, PHOTOS, imgsz=96, conf=0.05, threads=1)
    with pytest.raises(ModelError, match=r"finds 0 masks in 2 pictures, at least 20"):
        quantize.quantize(exported, target, PHOTOS, imgsz=96, conf=1.0, threads=1)
    assert list(tmp_path.iterdir()) == []


def test_report(exported, tmp_path):
    """Of photos that are file objects, which can be read once; those to measure on were read three times."""
    said = []
    files = [io.BytesIO(cv2.imencode(".png", photo)[1].tobytes()) for photo in PHOTOS]
    report = quantize.quantize(
        exported, tmp_path / "out.onnx", files, imgsz=96, weight_bits=7, threads=1, force=True,
        progress=lambda share, what: said.append((share, what)),
    )  # fmt: skip
    assert report.int8_bytes == (tmp_path / "out.onnx").stat().st_size
    assert report.float_bytes == exported.stat().st_size
    assert (report.weight_bits, report.calibrated_on, report.agreement.photos) == (7, 4, 2)
    assert report.first_in_float in quantize.FIRST_IN_FLOAT
    assert report.float_ms > 0 < report.int8_ms
    assert [share for share, _ in said] == sorted(share for share, _ in said)


def test_time_is_measured_on_the_photos_that_measure(monkeypatch):
    """Not on one colour, in which NMS inside a network has more to do, or less, than in a photo."""
    seen = []

    class Network:
        options = MappingProxyType({"imgsz": (96, 96)})

        def __init__(self, name, **options):
            self.name = name

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __call__(self, image):
            seen.append((self.name, int(image[0, 0, 0])))
            return SimpleNamespace(speed={"network": image[0, 0, 0] if self.name == "old" else 1.0})

    monkeypatch.setattr(quantize, "FastSAM", Network)
    photos = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 40)]
    assert quantize._times(Network("old"), "new", photos, 1) == (20.0, 1.0)
    assert seen[:6] == [("old", 40), ("new", 40), ("old", 10), ("new", 10), ("old", 20), ("new", 20)]
    assert len(seen) == 2 * (1 + quantize.TIMED_RUNS)


def test_weights_stored_as_float16_are_float32_before_they_are_rounded(exported, tmp_path):
    network = onnx.load(exported)
    stored, casts = [], []
    for constant in network.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.size > 64:
            stored.append(numpy_helper.from_array(values.astype(np.float16), f"{constant.name}.half"))
            casts.append(helper.make_node("Cast", [stored[-1].name], [constant.name], to=TensorProto.FLOAT))
        else:
            stored.append(constant)
    assert casts
    nodes = [*casts, *network.graph.node]
    del network.graph.initializer[:], network.graph.node[:]
    network.graph.initializer.extend(stored)
    network.graph.node.extend(nodes)
    onnx.save(network, tmp_path / "half.onnx")
    network = prepared(tmp_path / "half.onnx")
    assert {constant.data_type for constant in network.graph.initializer} <= {TensorProto.FLOAT, TensorProto.INT64}


LATEST_OPSET = 22 if tuple(int(part) for part in ort.__version__.split(".")[:2]) >= (1, 21) else 21


@pytest.mark.parametrize("opset", [18, 20, LATEST_OPSET])
def test_later_opsets(exported, made, tmp_path, opset):
    """From 18 on ReduceMax has its axes as an input; what is computed is the same."""
    path = tmp_path / "later.onnx"
    onnx.save(version_converter.convert_version(onnx.load(exported), opset), path)
    report = quantize.quantize(path, tmp_path / "out.onnx", PHOTOS, imgsz=96, threads=1, force=True)
    assert report.agreement.expected > 20
    assert report.agreement.recall > 0.9
    tensor = np.random.default_rng(0).random((1, 3, 96, 96), np.float32)
    for values, expected in zip(run_file(tmp_path / "out.onnx", tensor), run_file(made, tensor), strict=True):
        # In the file of opset 17 as many of the first convolutions are in float, so it is the same network.
        np.testing.assert_allclose(values, expected, atol=1e-4, rtol=1e-4)


def halved(network: onnx.ModelProto, *, float32_ends: bool) -> onnx.ModelProto:
    """The network in float16, with ends of float16, or of float32 and casts behind and before them."""
    half = onnx.ModelProto()
    half.CopyFrom(network)
    graph = half.graph
    # By the standard scales of Resize and limits of Range are float32.
    needs_float32 = {node.input[2] for node in graph.node if node.op_type == "Resize"}
    needs_float32 |= {name for node in graph.node if node.op_type == "Range" for name in node.input}
    for constant in graph.initializer:
        if constant.data_type == TensorProto.FLOAT and constant.name not in needs_float32:
            values = numpy_helper.to_array(constant).astype(np.float16)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT and node.output[0] not in needs_float32:
            node.attribute[0].i = TensorProto.FLOAT16
        if node.op_type == "Range":
            [result] = node.output
            node.output[0] = f"{result}_float"
            nodes.append(helper.make_node("Cast", [node.output[0]], [result], to=TensorProto.FLOAT16))
    del graph.node[:]
    graph.node.extend(nodes)
    ends = [*graph.input, *graph.output]
    if not float32_ends:
        for value in ends:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
        return half
    inputs, outputs = {value.name for value in graph.input}, {value.name for value in graph.output}
    for node in graph.node:
        node.input[:] = [f"{name}_half" if name in inputs | outputs else name for name in node.input]
        node.output[:] = [f"{name}_half" if name in outputs else name for name in node.output]
    before = [helper.make_node("Cast", [name], [f"{name}_half"], to=TensorProto.FLOAT16) for name in inputs]
    behind = [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT) for name in outputs]
    nodes = [*before, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


@pytest.mark.parametrize("float32_ends", [False, True])
def test_half_exports_become_int8_too(exported, made, tmp_path, float32_ends):
    path = tmp_path / "half.onnx"
    onnx.save(halved(onnx.load(exported), float32_ends=float32_ends), path)
    report = quantize.quantize(path, tmp_path / "out.onnx", PHOTOS, imgsz=96, threads=1, force=True)
    assert report.agreement.recall > 0.9
    assert operators(onnx.load(tmp_path / "out.onnx")) == operators(onnx.load(made))
    tensor = np.random.default_rng(0).random((1, 3, 96, 96), np.float32)
    for values, expected in zip(run_file(tmp_path / "out.onnx", tensor), run_file(made, tensor), strict=True):
        assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.99  # weights are rounded twice


def test_parameters_in_a_file_beside_it(exported, made, tmp_path):
    """ONNX Runtime writes the name of such a file into the folded network, which lies in another folder."""
    apart = tmp_path / "apart.onnx"
    onnx.save(onnx.load(exported), apart, save_as_external_data=True, location="apart.onnx.data", size_threshold=200)
    report = quantize.quantize(apart, tmp_path / "out.onnx", PHOTOS, imgsz=96, threads=1, force=True)
    assert report.float_bytes == apart.stat().st_size + (tmp_path / "apart.onnx.data").stat().st_size
    graph = onnx.load(report.written).graph
    for tensor in graph.initializer:
        tensor.ClearField("data_location")  # onnx 1.17 says that they lie in the file
    assert graph == onnx.load(made).graph


def test_a_network_with_a_branch_is_refused(tmp_path):
    """The constants that the branches alone use were dropped, and ONNX Runtime refused the network that was made."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(operator, ["x", "c"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name, operator in (("then", "Add"), ("else", "Sub"))
    }
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["any"], to=TensorProto.BOOL),
        helper.make_node("If", ["any"], ["y"], name="choice", **branches),
    ]
    onnx.save(network_of(nodes, {"c": np.ones(1, np.float32)}, 3), tmp_path / "branches.onnx")
    with pytest.raises(ModelError, match=r"branches\.onnx has the node 'choice' \(If\)"):
        prepared(tmp_path / "branches.onnx")


@POSIX
@pytest.mark.parametrize("kind", ["onnx", "pt"])
def test_a_full_disk_of_temporary_files_is_no_fault_of_the_network(tmp_path, monkeypatch, kind):
    """ONNX Runtime says that the serialization failed, of a model that it was given to open."""
    source = tmp_path / f"network.{kind}"
    export(read_checkpoint(TINY), source) if kind == "onnx" else source.write_bytes(TINY.read_bytes())
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    what = rf"cannot write temporary files in .*: 1,000 bytes are left there.* network\.{kind} .*TMPDIR=FOLDER"
    with files_of_at_most(1000), pytest.raises(OutputError, match=what):
        prepared(source)


def test_a_network_without_a_convolution_says_so():
    with pytest.raises(ModelError, match="no convolution"):
        quantize._observe(None, network_of([helper.make_node("Neg", ["x"], ["y"])], {}, 3), PHOTOS, print, 1)


@pytest.mark.parametrize("bits", [0, 4, 16, True, 7.5])
def test_bits_outside_what_is_accepted(tmp_path, bits):
    with pytest.raises(OptionError, match="weight_bits must be 7 or 8, got"):
        quantize.quantize(TINY, tmp_path / "out.onnx", PHOTOS, weight_bits=bits)


def test_a_network_that_is_int8_already(made, tmp_path):
    again = tmp_path / "out.onnx"
    with pytest.raises(ModelError, match=r"tiny.int8.onnx is quantized already"):
        quantize.quantize(made, again, PHOTOS, imgsz=96, threads=1)


def test_too_few_photos(tmp_path):
    with pytest.raises(OptionError, match=r"photos must be at least 3.*got 2"):
        quantize.quantize(TINY, tmp_path / "out.onnx", PHOTOS[:2])


def test_a_broken_photo_to_measure_on_is_told_before_the_calibration(tmp_path, monkeypatch):
    monkeypatch.setattr(quantize, "_observe", None)
    with pytest.raises(ImageError, match="the file is empty"):
        quantize.quantize(TINY, tmp_path / "out.onnx", [*PHOTOS[:5], b""])


@pytest.mark.parametrize("photos", ["folder", Path("folder"), b"photo", iter(PHOTOS), 5])
def test_photos_that_are_no_list(tmp_path, photos):
    """The letters of a folder's name were taken for photos."""
    with pytest.raises(OptionError, match="photos must be a list"):
        quantize.quantize(TINY, tmp_path / "x.onnx", photos=photos)


@pytest.mark.parametrize("named", ["model", "output"])
def test_what_is_no_path(tmp_path, named):
    with pytest.raises(OptionError, match=f"{named} must be the path"):
        quantize.quantize(**{"model": TINY, "output": tmp_path / "x.onnx", named: None})


def test_without_the_package_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'fastsam-onnx\[quantize\]'"):
        quantize.quantize(TINY, tmp_path / "out.onnx", PHOTOS)


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("aarch64", "", True),
        ("arm64", "", True),
        ("x86_64", "flags : avx2 avx512_vnni", True),
        ("x86_64", "flags : avx2 avx_vnni", True),
        ("x86_64", "flags : avx2 avx512f", False),
        ("AMD64", None, False),
    ],
)
def test_processors_that_add_in_32_bits(tmp_path, machine, flags, expected):
    """Two products of 8 bits, at most 2 * 255 * 127, do not fit into the 16 bits of AVX2; with 7 bits they do."""
    assert 2 * 255 * 63 < 2**15 <= 2 * 255 * 127
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags)
    assert adds_in_32_bits(machine, tmp_path / "cpuinfo") is expected


# ---------------------------------------------------------------- the command


def test_command(tmp_path, capsys):
    folder, target = tmp_path / "photos", tmp_path / "out.onnx"
    folder.mkdir()
    for index, picture in enumerate(PHOTOS):
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    command = ["quantize", str(TINY), "--photos", str(folder), "-o", str(target), "--imgsz", "96", "--threads", "1"]
    assert main([*command, "--force"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{target}\n"
    assert "calibrated:  on 4 photos" in said.err
    assert "times as fast" in said.err
    assert main([*command, "--force"]) == 2
    assert "out.onnx exists; pass --overwrite" in capsys.readouterr().err


def test_command_does_not_replace_the_network(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(TINY.read_bytes())
    assert main(["quantize", str(path), "-o", str(path), "--overwrite", "--force"]) == 2
    assert "this run reads it; name another place with --output\n" in capsys.readouterr().err
    assert path.read_bytes() == TINY.read_bytes()


def test_command_without_photos_in_the_folder(tmp_path, capsys):
    assert main(["quantize", str(TINY), "--photos", str(tmp_path), "-o", str(tmp_path / "out.onnx")]) == 2
    assert "no pictures in this folder" in capsys.readouterr().err


def test_command_with_a_folder_that_is_not_there(tmp_path, capsys):
    missing = tmp_path / "none"
    assert main(["quantize", str(TINY), "--photos", str(missing), "-o", str(tmp_path / "out.onnx")]) == 2
    assert f"--photos must be a folder, got {missing}" in capsys.readouterr().err


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="it is a folder"):  # at once: the photos would be refused, too
        quantize.quantize(TINY, tmp_path, photos=[])
    with pytest.raises(OutputError, match="there is no folder"):
        quantize.quantize(TINY, tmp_path / "no" / "out.onnx", PHOTOS, imgsz=96, threads=1, force=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows finds no file of such a name")
def test_a_name_that_is_too_long_is_told_before_the_work(tmp_path):
    """It was an OSError of Python's own."""
    with pytest.raises(OutputError, match="name too long"):
        quantize.quantize(TINY, tmp_path / f"{'x' * 300}.onnx", photos=[])


def test_a_folder_that_takes_no_file_is_told_before_the_work(tmp_path, monkeypatch):
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(quantize.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match=r"cannot write .*out\.onnx: Permission denied"):
        quantize.quantize(TINY, tmp_path / "out.onnx", photos=[])


def test_the_network_of_float32_is_never_replaced(exported):
    """It was, and could not be had back; its size was told as that of the new one."""
    before = exported.read_bytes()
    with pytest.raises(OptionError, match=r"output must be another file than the model.*tiny\.onnx"):
        quantize.quantize(exported, exported, PHOTOS, imgsz=96, threads=1, force=True)
    assert exported.read_bytes() == before


def test_a_name_by_which_the_network_could_not_be_opened_again_is_refused_at_once(tmp_path):
    with pytest.raises(OptionError, match=r"a\.int8\.pt"):
        quantize.quantize(TINY, tmp_path / "a.int8.pt", photos=[])


# ---------------------------------------------------------------- transposed convolutions


def test_compose_is_both_convolutions_away_from_the_border():
    """A single 1 in the middle shows every tap: out of the two convolutions, and out of the one."""
    rng = np.random.default_rng(0)
    transposed, kernel = rng.standard_normal((2, 3, 2, 2)), rng.standard_normal((4, 3, 3, 3))
    both = np.zeros((4, 10, 10))
    doubled = np.zeros((3, 12, 12))  # 5 x 5 cells, each 2 x 2, in a frame of zeros
    doubled[:, 5:7, 5:7] = transposed[1]  # of a 1 in channel 1 of the middle cell
    for o, y, x in np.ndindex(both.shape):
        both[o, y, x] = (doubled[:, y : y + 3, x : x + 3] * kernel[o]).sum()
    one = compose(transposed, np.zeros(3), kernel).reshape(2, 2, 4, 2 + ADDED, 2, 2)
    wide = np.zeros((4, 12, 12))
    for down, right, y, x in np.ndindex(2, 2, 6, 6):
        for k, m in np.ndindex(2, 2):
            if (y - 1 + k, x - 1 + m) == (2, 2):
                wide[:, 2 * y + down, 2 * x + right] += one[down, right, :, 1, k, m]
    np.testing.assert_allclose(wide[:, 1:-1, 1:-1], both, atol=1e-12)


def test_transposed_convolution_of_yolov8_up_to_the_border(exported):
    network = onnx.load(exported)
    replaced = without_transposed(network)
    assert operators(network)["ConvTranspose"] == 1
    assert operators(replaced)["ConvTranspose"] == 0
    tensor = np.random.default_rng(0).random((2, 3, 64, 96), np.float32)
    for before, after in zip(run(network, tensor), run(replaced, tensor), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("following", ["nothing", "another kernel"])
def test_transposed_convolution_alone(following):
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], name="up", strides=[2, 2])]
    constants: dict[str, object] = {"w": rng.standard_normal((3, 5, 2, 2)), "b": rng.standard_normal(5)}
    if following == "another kernel":
        nodes[0].output[0] = "wide"
        nodes.append(helper.make_node("Conv", ["wide", "w2", "b2"], ["y"], name="then"))
        constants |= {"w2": rng.standard_normal((4, 5, 1, 1)), "b2": rng.standard_normal(4)}
    network = network_of(nodes, constants, 3)
    replaced = without_transposed(network)
    assert operators(replaced)["DepthToSpace"] == 1
    assert operators(replaced)["ConvTranspose"] == 0
    tensor = rng.random((1, 3, 4, 6), np.float32)
    np.testing.assert_allclose(run(replaced, tensor)[0], run(network, tensor)[0], rtol=1e-5, atol=1e-5)


def test_other_transposed_convolutions_stay():
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], name="up", strides=[2, 2], pads=[1, 1, 1, 1])
    network = network_of([node], {"w": np.ones((3, 5, 2, 2)), "b": np.ones(5)}, 3)
    assert without_transposed(network) == network


# ---------------------------------------------------------------- decoding


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([helper.make_node("Softmax", ["x"], ["y"], name="softmax", axis=1)], {}),
        ([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], {"w": np.arange(5.0)}),
        ([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], {"w": np.arange(5.0)[:, None]}),
    ],
)
def test_decoding_in_parts_is_the_same(nodes, constants):
    network = network_of(nodes, constants, 7)
    replaced = with_fast_decoding(network)
    assert not {"Softmax", "MatMul"} & operators(replaced).keys()
    tensor = np.random.default_rng(0).uniform(-300, 300, (1, 7, 3, 5)).astype(np.float32)
    [before], [after] = run(network, tensor), run(replaced, tensor)
    assert before.shape == after.shape
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-6)


def test_other_products_stay():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
        helper.make_node("Softmax", ["p"], ["y"], name="softmax", axis=3),
    ]
    network = network_of(nodes, {"w": np.ones((5, 2))}, 1)
    assert with_fast_decoding(network) == network


# ---------------------------------------------------------------- what becomes integer


def test_plan_is_what_lies_between_convolutions():
    """Normalisation before and decoding after stay in float; a clamp goes with its convolution."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["x2"], name="normalise"),
        helper.make_node("Conv", ["x2", "w", "b"], ["c1"], name="first"),
        helper.make_node("Clip", ["c1", "zero", "six"], ["r1"], name="clamp"),
        helper.make_node("MaxPool", ["r1"], ["p1"], name="pool", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["p1", "w", "b"], ["c2"], name="last"),
        helper.make_node("Exp", ["c2"], ["y"], name="decode"),
    ]
    constants = {"two": 2.0, "zero": 0.0, "six": 6.0, "w": np.ones((1, 1, 1, 1)), "b": [0.0]}
    network = network_of(nodes, constants, 1)
    plan = qdq.make_plan(network)
    assert plan.nodes == {"first", "clamp", "pool", "last"}
    assert plan.tensors == ("x2", "r1", "p1", "c2")
    assert plan.shared == {"p1": "r1"}
    assert plan.clamped == {"c1": "r1"}
    assert qdq.last_convolutions(network) == ["last"]
    assert qdq.before_convolution(network, 1) == ["normalise", "first", "clamp", "pool"]
    assert qdq.before_convolution(network, 0) == ["normalise"]
    # x = 0, 1, ... 7 doubled and clamped at 6, exactly, for 6 is 255 steps.
    seen = {name: Activation(0, high, np.zeros(1)) for name, high in {"x2": 25.5, "r1": 6.0, "p1": 6.0}.items()}
    made = qdq.quantized(network, qdq.make_plan(network, ["last", "decode"]), seen)
    assert operators(made)["Clip"] == 0
    [result] = run(made, np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4))
    np.testing.assert_allclose(np.log(result.ravel()), np.minimum(2 * np.arange(8), 6), atol=0.013)  # half a step


def test_a_clamp_goes_with_its_sum():
    """Of x = 0, 1, ... 7, x + 21 - 9 x clamped is 21, 13, 5 and 0: bytes of 21 - 9 x end at -8.5, not at -42."""
    nodes = [
        helper.make_node("Conv", ["x", "one"], ["c1"], name="first"),
        helper.make_node("Conv", ["c1", "steep", "b"], ["c2"], name="second"),
        helper.make_node("Add", ["c1", "c2"], ["s"], name="add"),
        helper.make_node("Relu", ["s"], ["r"], name="clamp"),
        helper.make_node("Conv", ["r", "one"], ["c3"], name="last"),
        helper.make_node("Identity", ["c3"], ["y"], name="end"),
    ]
    constants = {"one": np.ones((1, 1, 1, 1)), "steep": np.full((1, 1, 1, 1), -9.0), "b": [21.0]}
    network = network_of(nodes, constants, 1)
    plan = qdq.make_plan(network, ["last"])
    assert plan.clamped == {"s": "r"}
    limits = {"x": (0, 8.5), "c1": (0, 8.5), "c2": (-42, 21), "r": (0, 21)}
    seen = {name: Activation(low, high, np.zeros(1)) for name, (low, high) in limits.items()}
    made = qdq.quantized(network, plan, seen)
    assert operators(made)["Relu"] == 0
    [result] = run(made, np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4))
    # The first part is exact, a thirtieth is a step of it; half a step of the second and of the sum: 0.058 + 0.041.
    np.testing.assert_allclose(result.ravel(), [21, 13, 5, 0, 0, 0, 0, 0], atol=0.1)


@pytest.mark.parametrize(("then", "expected"), [("Sigmoid", []), ("Identity", []), ("Exp", ["last"])])
def test_prototypes_are_integer_to_the_last(then, expected):
    """What is an output but for an activation is no score, box or coefficient, which are put together first."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["middle"], name="first"),
        helper.make_node("Conv", ["middle", "w"], ["c"], name="last"),
        helper.make_node(then, ["c"], ["y"], name="then"),
    ]
    assert qdq.last_convolutions(network_of(nodes, {"w": np.ones((1, 1, 1, 1))}, 1)) == expected


def test_an_output_in_the_middle_keeps_its_name():
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["middle"], name="first"),
        helper.make_node("Conv", ["middle", "w", "b"], ["y"], name="last"),
    ]
    network = network_of(nodes, {"w": np.ones((1, 1, 1, 1)), "b": [1.0]}, 1, ("middle", "y"))
    seen = {name: Activation(0, 2.55, np.zeros(1)) for name in ("x", "middle", "y")}
    middle, last = run(qdq.quantized(network, qdq.make_plan(network), seen), np.full((1, 1, 1, 1), 0.5, np.float32))
    assert middle.item() == pytest.approx(1.5, abs=0.011)
    assert last.item() == pytest.approx(2.5, abs=0.021)


def test_a_bias_without_weights_fits_into_32_bits():
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="first")
    network = network_of([node], {"w": np.zeros((1, 1, 1, 1)), "b": [1.5]}, 1)
    seen = {name: Activation(0, 2.55, np.zeros(1)) for name in ("x", "y")}
    [result] = run(qdq.quantized(network, qdq.make_plan(network), seen), np.ones((1, 1, 1, 1), np.float32))
    assert result.item() == pytest.approx(1.5, abs=0.006)


def test_the_bias_takes_back_what_rounded_weights_shift():
    """Weights 1 and 0.001 in steps of 1/127: the second is lost, 0.001 * 100 = 0.1 of a source of mean 100."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="first")
    network = network_of([node], {"w": np.array([1, 0.001]).reshape(1, 2, 1, 1)}, 2)
    seen = {"x": Activation(0, 102, np.array([0.0, 100.0])), "y": Activation(0, 0.255, np.zeros(1))}
    made = qdq.quantized(network, qdq.make_plan(network), seen)
    [result] = run(made, np.array([0, 100], np.float32).reshape(1, 2, 1, 1))
    assert result.item() == pytest.approx(0.1, abs=0.004)  # half a step of the bias, 0.4 / 127, and of the result
    np.testing.assert_allclose(qdq._shift(np.full((4, 1, 2, 2), 0.5), np.array([1.0, 3.0])), [2, 2, 6, 6])


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 255, (1, 0)), (-1.02, 1.53, (0.01, 102)), (5, 255, (1, 0)), (-255, -3, (1, 255))]
)
def test_zero_is_a_whole_step(low, high, expected):
    scale = scales.scale_of(low, high)
    assert (scale, scales.zero_of(low, scale)) == pytest.approx(expected)


# ---------------------------------------------------------------- calibration and agreement


def test_observe_takes_all_runs_together():
    network = network_of([helper.make_node("Neg", ["x"], ["y"], name="minus")], {}, 2)
    runs = [{"x": np.array(values, np.float32).reshape(1, 2, 1, 1)} for values in ([0, 4], [2, -6])]
    seen = observe_activations(network, ["x", "y"], runs, threads=1)
    assert (seen["x"].low, seen["x"].high) == (-6, 4)
    assert (seen["y"].low, seen["y"].high) == (-4, 6)
    assert seen["y"].means.tolist() == [-1, 1]


def test_drawn_pictures_are_the_same_every_time_and_differ():
    first, again, second = dead_leaves(1), dead_leaves(1), dead_leaves(2)
    assert first.shape == (480, 640, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_drawn_pictures_are_covered_with_small_and_large_things():
    """One colour alone has no contrast within a channel; specks alone have none an eighth as large."""
    for seed in range(3):
        picture = dead_leaves(seed).astype(np.float32)
        for quarter in (picture[:240, :320], picture[:240, 320:], picture[240:, :320], picture[240:, 320:]):
            assert quarter.std(axis=(0, 1)).mean() > 45
        eighth = cv2.resize(picture, (80, 60), interpolation=cv2.INTER_AREA)
        for each, least in ((picture, 3), (eighth, 15)):
            assert min(np.abs(np.diff(each, axis=axis)).mean() for axis in (0, 1)) > least


def test_wrong_options_are_told_before_pictures_are_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(quantize, "split_photos", None)
    for options in ({"imgsz": 0}, {"conf": 2}, {"force": "no"}):
        with pytest.raises(OptionError, match=f"{next(iter(options))} must be"):
            quantize.quantize("fastsam-nano", tmp_path / "a.onnx", **options)


def rectangles(*boxes: tuple[int, int, int, int]) -> Segmentation:
    masks = [Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, (40, 40)) for x1, y1, x2, y2 in boxes]
    return Segmentation.from_masks(masks, np.linspace(0.9, 0.5, len(masks), dtype=np.float32), image_size=(40, 40))


def test_agreement_pairs_one_to_one():
    """Of two alike masks one finds the other; IoU 90/100 and 60/100 are pairs, 40/100 is none."""
    expected = rectangles((0, 0, 10, 10), (0, 0, 10, 10), (20, 0, 30, 10), (0, 20, 10, 30))
    found = rectangles((0, 0, 10, 9), (20, 0, 30, 6), (0, 20, 10, 24), (30, 30, 40, 40))
    kept = measure_agreement([(expected, found), (rectangles(), rectangles((0, 0, 5, 5)))])
    assert (kept.photos, kept.expected, kept.found, kept.added) == (2, 4, 5, 3)
    assert kept.mean_iou == pytest.approx((0.9 + 0.6) / 2)
    assert kept.recall == 1 / 4
    assert "25.0 % of 4 masks in 2 photos" in str(kept)
    assert str(kept).endswith(", 3 added")


def test_agreement_of_nothing():
    kept = measure_agreement([(rectangles(), rectangles())])
    assert (kept.mean_iou, kept.recall) == (0, 0)


def test_the_tool_that_compares_two_files(
    tmp_path, load_tool, exported,
    monkeypatch, capsys,
):  # fmt: skip
    cv2.imwrite(str(tmp_path / "0.png"), PHOTOS[0])
    command = ["agree", str(exported), str(exported), "--photos", str(tmp_path), "--imgsz", "96", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", command)
    load_tool("agree").main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["masks"] == figures["found"] > 0
    assert figures["mean_iou"] == figures["recall"] == 1
