"""Checkpoints: what good files give, and that damaged or other ones give `CheckpointError`."""

from __future__ import annotations

import os
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import POSIX
from support.pt_writer import (
    Call,
    Name,
    Object,
    Parameter,
    View,
    archive,
    checkpoint,
    container,
    module,
    official,
    one_layer,
    pickled,
    raw_checkpoint,
    tensor,
    text,
    whole,
    yolov8_seg,
)

from fastsam_onnx import CheckpointError, ModelNotFoundError
from fastsam_onnx.checkpoints.archive import TorchArchive
from fastsam_onnx.checkpoints.checkpoint import Checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.head import HEAD_BYTES, is_checkpoint

TINY = Path(__file__).parents[1] / "data" / "tiny.pt"


# ---------------------------------------------------------------------------------------------- good files


def test_the_tiny_checkpoint():
    found = read_checkpoint(TINY)
    # YOLOv8-seg of depth n: 64 convolutions with batch norm (6 entries), 9 + 1 with a bias, and the fixed bins.
    assert len(found.arrays) == 417
    assert found.names == {0: "object"}
    assert found.stride == (8, 16, 32)
    assert found.eps == 1e-3
    assert found.version == "8.0.120"
    options = {"task": "segment", "imgsz": 1024, "epochs": 100, "lr0": 0.01, "freeze": None, "val": True}
    assert found.train_args == options
    np.testing.assert_array_equal(found.arrays["model.22.dfl.conv.weight"].ravel(), np.arange(16))
    assert found.arrays["model.0.conv.weight"].shape == (8, 3, 3, 3)
    assert found.arrays["model.0.conv.weight"].dtype == np.float16
    assert found.arrays["model.0.bn.num_batches_tracked"] == 12345
    assert "model.0.conv.bias" not in found.arrays
    assert all(each.flags.c_contiguous and each.flags.aligned for each in found.arrays.values())
    assert not any(each.flags.writeable for each in found.arrays.values())


def test_a_path_a_string_and_bytes_are_the_same():
    expected = read_checkpoint(TINY)
    assert_same(read_checkpoint(str(TINY)), expected)
    assert_same(read_checkpoint(TINY.read_bytes()), expected)


@pytest.mark.parametrize(
    ("name", "bins", "magnitude"),
    # The sums of the magnitudes of all elements were taken with PyTorch 2.13.
    [
        ("fastsam-s-random", 16, 1180980.7344084382),
        ("fastsam-n-reg26-random", 26, 974843.7875187397),
        ("tiny-oldpaths-random", 16, 826987.070444107),
    ],
)
def test_what_ultralytics_wrote(shared, name, bins, magnitude):
    found = read_checkpoint(shared / "models" / f"{name}.pt")
    assert len(found.arrays) == 417
    assert (found.names, found.stride, found.eps) == ({0: "object"}, (8, 16, 32), 1e-3)
    assert found.train_args["imgsz"] == 1024
    np.testing.assert_array_equal(found.arrays["model.22.dfl.conv.weight"].ravel(), np.arange(bins))
    total = sum(float(np.abs(each.astype(np.float64)).sum()) for each in found.arrays.values())
    assert total == pytest.approx(magnitude, rel=1e-12)


@pytest.mark.parametrize("old_paths", [False, True])
def test_every_array_is_what_was_written_under_old_and_new_module_paths(old_paths):
    network = yolov8_seg(classes=3, reg_max=26, seed=5, old_paths=old_paths)
    found = read_checkpoint(checkpoint(official(network)))
    expected = dict(state_dict(network))
    assert list(found.arrays) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)
    assert found.names == {0: "class 0", 1: "class 1", 2: "class 2"}


def state_dict(layer: Object, prefix: str = "") -> list[tuple[str, np.ndarray]]:
    parts = layer.attributes
    own = [(prefix + key, value.data) for key, value in parts["_parameters"].items() if value is not None]
    own += [(prefix + key, value) for key, value in parts["_buffers"].items()]
    return own + [pair for key, each in parts["_modules"].items() for pair in state_dict(each, f"{prefix}{key}.")]


def test_the_moving_average_comes_first():
    one, two = one_layer(weight=Parameter(np.ones(3))), one_layer(weight=Parameter(np.zeros(3)))
    assert read_checkpoint(checkpoint(official(one, ema=two))).arrays["0.weight"].tolist() == [0, 0, 0]
    assert read_checkpoint(checkpoint(official(one, ema=None))).arrays["0.weight"].tolist() == [1, 1, 1]


def test_a_network_alone_is_a_checkpoint():
    found = read_checkpoint(checkpoint(one_layer(weight=Parameter(np.float32([1, 2])))))
    assert found.arrays["0.weight"].tolist() == [1, 2]
    assert (found.names, found.train_args, found.version, found.stride, found.eps) == ({}, {}, None, None, None)


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_a_plain_state_dict(key):
    state = {"model.0.conv.weight": np.float32([[1, 2]]), "model.0.bn.num_batches_tracked": np.array(7)}
    found = read_checkpoint(checkpoint({key: state} if key else state))
    assert list(found.arrays) == list(state)
    assert found.arrays["model.0.conv.weight"].tolist() == [[1, 2]]
    assert found.eps is None


@pytest.mark.parametrize("start", ["", "model.", "model.model.", "module.", "module.model.", "model.module.model."])
def test_what_stands_before_the_names_of_a_state_dict_is_taken_off(start):
    state = {f"{start}0.conv.weight": np.float32([1]), f"{start}22.dfl.conv.weight": np.float32([2])}
    assert list(read_checkpoint(checkpoint(state)).arrays) == ["model.0.conv.weight", "model.22.dfl.conv.weight"]


def test_names_that_do_not_begin_alike_stay_as_they_are():
    state = {"model.0.weight": np.float32([1]), "module.1.weight": np.float32([2])}
    assert list(read_checkpoint(checkpoint(state)).arrays) == list(state)


def test_objects_around_the_network_are_taken_off():
    network = yolov8_seg(width=4)
    parallel = module("torch.nn.parallel.distributed.DistributedDataParallel", {"module": network})
    around = module("ultralytics.models.yolo.model.YOLO", {"model": network}, names={0: "other"})
    expected = read_checkpoint(checkpoint(official(network)))
    for found in (read_checkpoint(checkpoint({"model": parallel})), read_checkpoint(checkpoint(around))):
        assert list(found.arrays) == list(expected.arrays)
        assert found.names == {0: "object"}
        assert found.network is not None
        assert found.network.kind == "SegmentationModel"


def test_an_ordered_state_dict_with_versions_of_its_modules():
    # Written by hand as torch does: the items set on an empty OrderedDict, then _metadata as an attribute of it.
    data, storages = pickled(np.float32([3]))
    code = b"ccollections\nOrderedDict\n)R(" + text("weight") + data[2:-1]
    code += b"u}" + text("_metadata") + b"ccollections\nOrderedDict\n)Rsb"
    found = read_checkpoint(archive({"data.pkl": b"\x80\x02" + code + b".", "data/0": storages["0"]}))
    assert found.arrays["weight"].tolist() == [3]


def test_strides_offsets_and_shared_storages():
    storage = np.arange(12, dtype=np.float32)
    found = read_checkpoint(
        checkpoint(
            one_layer(
                transposed=Parameter(View(storage, 0, (4, 3), (1, 4))),
                tail=Parameter(View(storage, 8, (2, 2), (2, 1))),
                every_second=Parameter(View(storage, 1, (3,), (2,))),
                repeated=Parameter(View(storage, 5, (2, 3), (0, 1))),
                one=Parameter(View(storage, 11, (), ())),
                none=Parameter(View(storage, 12, (0, 5), (5, 1))),
            )
        )
    )
    arrays = {name.removeprefix("0."): array for name, array in found.arrays.items()}
    np.testing.assert_array_equal(arrays["transposed"], storage.reshape(3, 4).T)
    assert arrays["tail"].tolist() == [[8, 9], [10, 11]]
    assert arrays["every_second"].tolist() == [1, 3, 5]
    assert arrays["repeated"].tolist() == [[5, 6, 7], [5, 6, 7]]
    assert arrays["one"].shape == ()
    assert arrays["one"] == 11
    assert arrays["none"].shape == (0, 5)
    assert all(array.flags.c_contiguous and not array.flags.writeable for array in arrays.values())


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int64", "int32", "uint8", "bool"])
def test_element_types(dtype):
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    found = read_checkpoint(checkpoint(one_layer(weight=values)))
    np.testing.assert_array_equal(found.arrays["0.weight"], values, strict=True)


def test_bfloat16_is_widened_exactly():
    # The upper halves of float32: 0x3F80 is 1, 0xC020 is -2.5, 0x7F80 is infinity.
    stored = np.array([0x3F80, 0xC020, 0x7F80, 0x0001], np.uint16)
    found = read_checkpoint(checkpoint(one_layer(weight=tensor(stored, kind="BFloat16Storage"))))
    array = found.arrays["0.weight"]
    assert array.dtype == np.float32
    assert array.tolist() == [1, -2.5, np.inf, 2.0**-133]
    assert not array.flags.writeable


def test_any_byte_that_is_not_zero_is_true():
    found = read_checkpoint(checkpoint(one_layer(weight=tensor(np.uint8([0, 1, 2, 255]), kind="BoolStorage"))))
    assert found.arrays["0.weight"].tolist() == [False, True, True, True]


def test_elements_that_are_not_aligned_in_the_file():
    data = checkpoint(one_layer(weight=np.float32([1, 2, 3])))
    shifted = read_checkpoint(rezip(data, lambda entries: entries))  # zipfile aligns nothing
    assert shifted.arrays["0.weight"].tolist() == [1, 2, 3]
    assert shifted.arrays["0.weight"].flags.aligned


def test_the_folder_may_have_any_name():
    network = one_layer(weight=np.float32([1]))
    for folder in ("archive/", "FastSAM-s/", "mein modell.v1/", "фото/"):
        assert read_checkpoint(checkpoint(network, folder)).arrays["0.weight"].tolist() == [1]


def test_what_new_torch_puts_beside_is_no_matter():
    extra = {"byteorder": b"little", ".format_version": b"1", ".data/serialization_id": b"1234"}
    assert read_checkpoint(checkpoint(one_layer(weight=np.float32([1])), **extra)).arrays["0.weight"].tolist() == [1]


def test_buffers_that_torch_does_not_save_are_left_out():
    layer = module("torch.nn.Conv2d", buffers={"kept": np.float32([1]), "scratch": np.float32([2])})
    layer.attributes["_non_persistent_buffers_set"] = Call(Name("builtins", "set"), (["scratch"],))
    assert list(read_checkpoint(checkpoint(layer)).arrays) == ["kept"]


def test_the_options_may_be_a_namespace_of_the_network():
    network = one_layer(weight=np.float32([1]))
    namespace = Name("ultralytics.yolo.utils", "IterableSimpleNamespace")
    options = {"imgsz": 640, "hooks": {}, "a": [1, "b"]}
    network.attributes.update(args=Object(namespace, options), names=["cat", "dog"])
    found = read_checkpoint(checkpoint({"model": network}))
    assert found.train_args == {"imgsz": 640, "a": [1, "b"]}
    assert found.names == {0: "cat", 1: "dog"}


def test_what_training_leaves_beside_the_network_is_passed_over():
    double = Call(Name("numpy", "dtype"), ("f8", False, True))
    leftovers = {
        "device": Call(Name("torch", "device"), ("cuda", 0)),
        "type": Name("torch", "float16"),
        "save_dir": Call(Name("pathlib", "PosixPath"), ("runs", "train")),
        "fitness": Call(Name("numpy._core.multiarray", "scalar"), (double, "x")),
        "loss": Object(Name("ultralytics.yolo.utils.loss", "v8SegmentationLoss"), {"proj": np.float32([1])}),
        "shape": Call(Name("torch", "Size"), ((1, 3),)),
        "big": [2**40, -(2**40), 1e300, -1, 70000],
    }
    found = read_checkpoint(checkpoint(official(one_layer(weight=np.float32([1])), **leftovers)))
    assert list(found.arrays) == ["0.weight"]


def test_protocol_4():
    def short(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode() + b"\x94"

    framed = b"}" + short("weight") + short("torch._utils") + short("_rebuild_tensor_v2") + b"\x93\x94(("
    framed += (
        short("storage") + short("torch") + short("FloatStorage") + b"\x93" + short("0") + short("cpu") + b"K\x10t\x94Q"
    )
    framed += b"K\x00K\x02\x85K\x01\x85\x89" + short("collections") + short("OrderedDict") + b"\x93)Rt\x94R\x94s"
    found = read_checkpoint(raw_checkpoint(b"\x95" + struct.pack("<Q", len(framed) + 1) + framed, protocol=4))
    assert found.arrays["weight"].tolist() == [0, 0]


@pytest.mark.parametrize(("head", "answer"), [
    (TINY.read_bytes()[:HEAD_BYTES], True),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", True),
    (bytes(257) + b"ustar" + bytes(250), True),
    (b"\x08\x08\x12\x07pytorch", False),
    (b"\xff\xd8\xff\xe0", False),
    (b"", False),
])  # fmt: skip
def test_is_checkpoint(head, answer):
    assert is_checkpoint(head) is answer


# ---------------------------------------------------------------------------------------------- files that are none


def test_no_such_file(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"not found.*nowhere\.pt"):
        read_checkpoint(tmp_path / "nowhere.pt")


def test_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        read_checkpoint(tmp_path)


@POSIX
def test_what_is_no_regular_file_is_not_opened():
    with pytest.raises(CheckpointError, match="null is not a regular file"):
        read_checkpoint(os.devnull)


def test_the_message_names_the_file(tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(TINY.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"^broken\.pt: .*damaged"):
        read_checkpoint(path)


def rezip(data: bytes, change: Callable[[dict[str, bytes]], dict[str, bytes]], **options: Any) -> bytes:
    """The same entries as Python's zipfile writes them."""
    with zipfile.ZipFile(BytesIO(data)) as source:
        entries = change({name: source.read(name) for name in source.namelist()})
    out = BytesIO()
    with zipfile.ZipFile(out, "w", **options) as target:
        for name, content in entries.items():
            target.writestr(name, content)
    return out.getvalue()


GOOD = checkpoint({"weight": np.zeros(16, np.float32)})
NEEDED = {"data.pkl": pickled({"weight": np.zeros(16, np.float32)})[0], "data/0": bytes(64)}


def patched(data: bytes, old: bytes, new: bytes, count: int = -1) -> bytes:
    assert old in data
    return data.replace(old, new, count)


def overlapping() -> bytes:
    """An entry that lies within another one, as in a zip bomb without compression."""
    plain = archive({"data.pkl": b"", "data/1": bytes(64)})
    inner = plain[plain.rindex(b"PK\3\4") : plain.index(b"PK\1\2")]
    outer = archive({**NEEDED, "data/0": inner, "data/1": bytes(64)})
    offset = outer.rindex(b"PK\1\2") + 42
    return outer[:offset] + struct.pack("<I", outer.index(inner)) + outer[offset + 4 :]


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not a PyTorch checkpoint"),
    "a text": (lambda: b"<html>404</html>", "not a PyTorch checkpoint.* 16 bytes, beginning with b'<html>404</html>'"),
    "an ONNX file": (lambda: b"\x08\x08\x12\x07pytorch" + bytes(600), r"beginning with .*pytorch.* ends with \.onnx"),
    "the pickle format of old torch": (lambda: pickle.dumps(0x1950A86A20F9469CFC6C, 2) + bytes(99), "before 1.6"),
    "the tar format of older torch": (lambda: bytes(257) + b"ustar" + bytes(1000), "before 1.6"),
    "TensorFlow Lite": (lambda: b"\x1c\0\0\0TFL3" + bytes(600), "TensorFlow Lite.*yolo export"),
    "Keras": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(600), "HDF5.*yolo export"),
    "a zip of something else": (lambda: archive({"readme.txt": b"hello"}), "0 data.pkl"),
    "TorchScript": (lambda: archive({**NEEDED, "constants.pkl": b"", "code/x.py": b""}), "TorchScript"),
    "a folder in a folder": (lambda: archive(NEEDED, "a/b/"), "0 data.pkl"),
    "two folders": (lambda: archive([("a/data.pkl", b""), ("b/data.pkl", b"")], ""), "2 data.pkl"),
    "an entry beside the folder": (lambda: archive([("a/data.pkl", b""), ("b/x", b"")], ""), "outside its folder"),
    "compressed": (lambda: rezip(GOOD, dict, compression=zipfile.ZIP_DEFLATED), "is compressed"),
    "a zip bomb": (
        lambda: rezip(GOOD, lambda e: {**e, "best/data/0": bytes(1 << 27)}, compression=zipfile.ZIP_DEFLATED),
        "is compressed",
    ),
    "a size that lies": (
        lambda: patched(GOOD, struct.pack("<II", 64, 64), struct.pack("<II", 64, 1 << 31)),
        "compressed",
    ),
    "both sizes lie": (
        lambda: patched(GOOD, struct.pack("<II", 64, 64), struct.pack("<II", 1 << 31, 1 << 31)),
        "reaches into",
    ),
    "data up to the next header": (
        lambda: patched(
            GOOD, struct.pack("<II", 64, 64), struct.pack("<II", 80, 80)
        ),  # its checksum and sizes: 16 bytes
        "'best/data/0' reaches into",
    ),
    "sizes that nothing states": (
        lambda: patched(GOOD, struct.pack("<H", 0x0808), struct.pack("<H", 0x0800)),
        "header of 'best/data.pkl' and the zip directory disagree",
    ),
    "compressed, by the directory alone": (
        lambda: patched(GOOD, b"PK\1\2\0\0\0\0\x08\x08\0", b"PK\1\2\0\0\0\0\x08\x08\x08"),
        "is compressed",
    ),
    "encrypted": (lambda: patched(GOOD, struct.pack("<H", 0x0808), struct.pack("<H", 0x0809)), "encrypted"),
    "a wrong checksum": (
        lambda: patched(GOOD, struct.pack("<I", zlib.crc32(bytes(64))), b"\1\2\3\4"),
        "checksum of 'best/data/0'",
    ),
    "two entries of one name": (lambda: archive([*NEEDED.items(), ("data/0", bytes(64))]), "two entries"),
    "two pickles of one name": (lambda: archive([*NEEDED.items(), ("data.pkl", b"x")]), "two entries"),
    "a name that climbs": (lambda: archive({**NEEDED, "../../../tmp/x": b""}), "out of its folder"),
    "a name that climbs on Windows": (lambda: archive({**NEEDED, "..\\..\\x": b""}), "out of its folder"),
    "an absolute name": (lambda: archive([("/etc/passwd", b"")], ""), "out of its folder"),
    "a name with a zero": (lambda: archive({**NEEDED, "data/1\0.txt": b""}), "out of its folder"),
    "a name that is no UTF-8": (lambda: patched(GOOD, b"best/version", b"best/\xff\xfersion"), "not UTF-8"),
    "other names in the headers": (lambda: patched(GOOD, b"best/data/0", b"best/data/1", 1), "disagree"),
    "a signature alone": (lambda: b"PK\3\4", "the file has only 4 bytes"),
    "a header without its signature": (lambda: b"PK\3\5".join(GOOD.rsplit(b"PK\3\4", 1)), "'best/version'.* disagree"),
    "entries that share bytes": (overlapping, "'best/data/0' reaches into"),
    "something behind it": (lambda: GOOD + b"x", "no directory"),
    "a comment": (lambda: GOOD[:-2] + b"\1\0x", "no directory"),
    "too many entries stated": (lambda: GOOD[:-14] + struct.pack("<2H", 9, 9) + GOOD[-10:], "too early|signature"),
    "too few entries stated": (lambda: GOOD[:-14] + struct.pack("<2H", 2, 2) + GOOD[-10:], "its entries take"),
    "a comment that is not there": (lambda: GOOD[:-2] + b"\x01\0", "no directory at its end"),
    "counts that differ": (lambda: GOOD[:-14] + struct.pack("<2H", 2, 3) + GOOD[-10:], "contradicts itself"),
    "a directory beyond the end": (lambda: GOOD[:-6] + struct.pack("<I", 1 << 31) + GOOD[-2:], "contradicts itself"),
    "the directory alone": (lambda: b"PK\3\4" + GOOD[GOOD.index(b"PK\1\2") :], "contradicts|signature|damaged"),
    "big-endian numbers": (lambda: archive({**NEEDED, "byteorder": b"big"}), "big-endian"),
    "a storage that is missing": (lambda: archive({"data.pkl": NEEDED["data.pkl"]}), "storage '0' is not in the file"),
    "a storage that is too short": (lambda: archive({**NEEDED, "data/0": bytes(63)}), "63 bytes; 16 elements take 64"),
    "a storage that is too long": (lambda: archive({**NEEDED, "data/0": bytes(65)}), "has 65 bytes"),
    "no network": (lambda: checkpoint({"epoch": 3, "optimizer": {}}), "no network.*'epoch', 'optimizer'"),
    "nothing in it": (lambda: checkpoint({}), "got nothing"),
    "a list": (lambda: checkpoint([1]), "holds a list"),
    "names that are numbers": (lambda: checkpoint({"w": np.zeros(1), "names": {0: 1}}), "class names"),
    "a name before the first": (lambda: checkpoint({"w": np.zeros(1), "names": {-1: "x", 0: "y"}}), "of at least 0"),
    "strides that are none": (lambda: with_attribute(stride=[8, 16, 31]), "its strides"),
    "a hundred strides": (lambda: with_attribute(stride=[8] * 100), "its strides"),
    "an epsilon that is none": (lambda: checkpoint(norms(-1.0)), "epsilon.*got -1.0"),
    "an epsilon that is no number": (lambda: checkpoint(norms(float("nan"))), "epsilon.*got nan"),
    "two epsilons": (lambda: checkpoint(norms(1e-3, 1e-5)), r"one epsilon, got \[1e-05, 0.001\]"),
    "one long name for very many classes": (lambda: with_attribute(names=["x" * 50_000] * 100), "4,194,304 characters"),
    "a part with a number for a name": (
        lambda: checkpoint(module("torch.nn.Conv2d", parameters={3: None})),
        "parts.*got 3",
    ),
}


def test_sizes_that_follow_may_stand_in_the_headers_too():
    data = bytearray(GOOD)
    for entry in zipfile.ZipFile(BytesIO(GOOD)).infolist():
        struct.pack_into("<3I", data, entry.header_offset + 14, entry.CRC, entry.file_size, entry.file_size)
    assert data != GOOD
    assert read_checkpoint(bytes(data)).arrays["weight"].tolist() == [0] * 16


def test_a_file_of_more_than_4_gib_is_told_so():
    class Long(BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return 1 << 32 if whence == 2 else super().seek(offset, whence)

    with pytest.raises(CheckpointError, match=r"4,294,967,296 bytes.*less than 4 GiB"):
        TorchArchive(Long(GOOD))


def with_attribute(**attributes: Any) -> bytes:
    network = one_layer(weight=np.zeros(1))
    network.attributes.update(attributes)
    return checkpoint(network)


def norms(*epsilons: float) -> Object:
    layers = [module("torch.nn.modules.batchnorm.BatchNorm2d", eps=epsilon) for epsilon in epsilons]
    return container("Sequential", layers)


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_refused(name):
    make, reason = FILES[name]
    with pytest.raises(CheckpointError, match=rf"(?s)^the checkpoint \(\d+ bytes\): .*({reason})"):
        read_checkpoint(make())


@pytest.mark.parametrize("name", ["names", "stride", "eps"])
def test_what_is_refused_is_shown_without_what_it_holds(name):
    """Lists that hold one list twice took time and memory without end; one nested this deep was a RecursionError."""
    norm = module("torch.nn.modules.batchnorm.BatchNorm2d", {}, eps=1e-3)
    network = container("Sequential", [norm])
    (norm if name == "eps" else network).attributes[name] = "HERE"
    code, _ = pickled(network)
    with pytest.raises(CheckpointError, match="got a list"):
        read_checkpoint(archive({"data.pkl": code.replace(text("HERE"), b"]" * 5000 + b"a" * 4999)}))


# ---------------------------------------------------------------------------------------------- damage


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert list(found.arrays) == list(expected.arrays)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)
    for name in ("names", "train_args", "version", "stride", "eps"):
        assert getattr(found, name) == getattr(expected, name)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One accident: bits that flip, bytes that are lost, doubled, zeroed or put elsewhere, an end that is missing."""
    place, length = chance.randrange(len(data)), chance.choice([1, 2, 4, 64, 512, 5000])
    if chance.random() < 0.3:  # the directory, where most of the structure is
        place = chance.randrange(data.index(b"PK\1\2"), len(data))
    piece = data[place : place + length]
    match chance.randrange(7):
        case 0:
            return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        case 1:
            return data[:place] + chance.randbytes(len(piece)) + data[place + len(piece) :]
        case 2:
            return data[:place] + bytes(len(piece)) + data[place + len(piece) :]
        case 3:
            return data[:place] + data[place + len(piece) :]
        case 4:
            return data[:place] + piece + data[place:]
        case 5:
            other = chance.randrange(max(1, len(data) - len(piece)))
            return data[:place] + data[other : other + len(piece)] + data[place + len(piece) :]
    return data[:place]


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_give_an_error_or_the_exact_result(seed):
    """Twenty accidents each; the checksums of the archive tell whatever changed a value."""
    good, chance = TINY.read_bytes(), random.Random(seed)
    expected = read_checkpoint(TINY)
    refused = 0
    for _ in range(20):
        try:
            found = read_checkpoint(damaged(good, chance))
        except CheckpointError:
            refused += 1
        else:
            assert_same(found, expected)
    assert refused


def test_a_checkpoint_of_yolov5_is_told_the_way_that_works():
    network = Object(Name("models.yolo", "SegmentationModel"))
    with pytest.raises(CheckpointError, match=r"models\.yolo\.SegmentationModel.*YOLOv5.*export\.py.*onnx"):
        read_checkpoint(checkpoint(official(network)))


def test_tensors_that_share_bytes_need_no_more_than_twice_the_file():
    """Each is a copy: a thousand names of one large storage would be a thousand times the file."""
    array = np.arange(2000, dtype=np.float32)
    shared = whole(array)
    assert len(read_checkpoint(checkpoint({f"w{number}": shared for number in range(2)})).arrays) == 2
    with pytest.raises(CheckpointError, match="together need more than twice the bytes of the file"):
        read_checkpoint(checkpoint({f"w{number}": shared for number in range(5)}))
