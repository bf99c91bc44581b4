"""Files of the format safetensors: what good ones give, and that damaged or hostile ones give `CheckpointError`."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.family import build
from fastsam_onnx.checkpoints.head import HEAD_BYTES, is_checkpoint, is_safetensors
from fastsam_onnx.errors import CheckpointError, ModelError
from fastsam_onnx.network.network import Network

DATA = Path(__file__).parents[1] / "data"
DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "uint8": "U8"}


def raw(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def safetensors(arrays: dict[str, np.ndarray], **entries: Any) -> bytes:
    """As its own library writes them: in order, without gaps."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    return raw({**header, **entries}, data)


def test_the_parameters_of_yolov8_give_the_same_network(tmp_path):
    tiny = read_checkpoint(DATA / "tiny.pt")
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(safetensors(dict(tiny.arrays)))
    found = read_checkpoint(path)
    assert list(found.arrays) == list(tiny.arrays)
    for name, array in tiny.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)
    assert (found.names, found.network) == ({}, None)
    tensor = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    [expected], [got] = (Network.open(each, threads=1).run(tensor) for each in (DATA / "tiny.pt", path))
    for ours, theirs in zip(got[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_parameters_come_in_the_order_of_the_header():
    header = {
        name: {"dtype": "U8", "shape": [2], "data_offsets": [first, first + 2]}
        for name, first in (("b", 2), ("c", 0), ("a", 4))
    }
    found = read_checkpoint(raw(header, bytes(range(6)))).arrays
    assert {name: values.tolist() for name, values in found.items()} == {"b": [2, 3], "c": [0, 1], "a": [4, 5]}
    assert list(found) == ["b", "c", "a"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_element_types(dtype):
    values = np.array([[0, 1, 2], [3, 4, 5]], dtype)
    found = read_checkpoint(safetensors({"a": np.zeros(3, np.uint8), "w": values})).arrays["w"]
    np.testing.assert_array_equal(found, values, strict=True)
    assert found.flags.c_contiguous
    assert found.flags.aligned
    assert not found.flags.writeable


def test_bfloat16_and_bool():
    # The upper halves of float32: 0x3F80 is 1, 0xC020 is -2.5.
    wide = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    flags = {"dtype": "BOOL", "shape": [3], "data_offsets": [4, 7]}
    found = read_checkpoint(raw({"w": wide, "b": flags}, struct.pack("<2H", 0x3F80, 0xC020) + b"\0\1\2")).arrays
    assert found["w"].tolist() == [1, -2.5]
    assert found["w"].dtype == np.float32
    assert found["b"].dtype == bool
    assert found["b"].view(np.uint8).tolist() == [0, 1, 1]  # as numbers, too
    assert not any(array.flags.writeable for array in found.values())


def test_the_order_in_the_header_need_not_be_that_of_the_bytes():
    second = {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}
    first = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
    found = read_checkpoint(raw({"b": second, "a": first}, b"\5\7")).arrays
    assert {name: array.tolist() for name, array in found.items()} == {"b": [7], "a": [5]}


def test_it_is_known_by_its_first_bytes():
    data = safetensors({"w": np.zeros(1000, np.float32)})
    assert is_checkpoint(data[:HEAD_BYTES])
    assert not is_checkpoint(b"\x08\x08\x12\x07pytorch" + bytes(600))


def test_other_networks_are_told_the_way_that_works():
    data = safetensors({"image_encoder.0.weight": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match=r"image_encoder\.0\.weight.*YOLOv8-seg.*yolo export"):
        build(read_checkpoint(data))


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a header longer than the file": (raw({"w": GOOD}, bytes(8), length=5000), "5,000 bytes"),
    "a header of 3 GB": (raw({"w": GOOD}, bytes(8), length=3 << 30), "must end within the file"),
    "a header of more than 4 MiB": (raw(b"{" + b" " * (1 << 22) + b"}"), "4,194,306 bytes.*at most 4,194,304"),
    "no JSON": (raw(b"{w: 1}", bytes(8)), "not JSON"),
    "no UTF-8": (raw(b'{"\xff": 1}', bytes(8)), "not JSON"),
    "deeply nested": (raw(b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not JSON"),
    "an integer of many digits": (raw(b'{"w":' + b"9" * 10_000 + b"}"), "not JSON"),
    "a name twice": (raw(b'{"w":{},"w":{}}'), "not JSON"),
    "too many tensors": (raw({str(index): 0 for index in range(20_001)}), "at most 20,000 tensors"),
    "a tensor that is a number": (raw({"w": 1}), "'w' has no place"),
    "no offsets": (raw({"w": {"dtype": "F32", "shape": [2]}}, bytes(8)), "'w' has no place"),
    "three offsets": (raw({"w": {**GOOD, "data_offsets": [0, 4, 8]}}, bytes(8)), "'w' has no place"),
    "offsets that go back": (raw({"w": {**GOOD, "data_offsets": [8, 0]}}, bytes(8)), "'w' has no place"),
    "negative offsets": (raw({"w": {**GOOD, "data_offsets": [-8, 0]}}, bytes(8)), "'w' has no place"),
    "offsets that are true": (raw({"w": {**GOOD, "data_offsets": [False, 8]}}, bytes(8)), "'w' has no place"),
    "huge offsets": (raw({"w": {**GOOD, "data_offsets": [0, 10**30]}}, bytes(8)), "'w' has no place"),
    "offsets beyond the end": (raw({"w": GOOD}, bytes(7)), "'w' does not have the bytes"),
    "a gap": (raw({"w": {**GOOD, "data_offsets": [1, 9]}}, bytes(9)), "'w' does not have the bytes"),
    "bytes that two tensors share": (raw({"w": GOOD, "v": GOOD}, bytes(8)), "does not have the bytes"),
    "something behind it": (raw({"w": GOOD}, bytes(9)), "8 bytes, the file has 9"),
    "a shape that asks for more": (raw({"w": {**GOOD, "shape": [1 << 40]}}, bytes(8)), "'w' does not have the bytes"),
    "a shape that overflows": (raw({"w": {**GOOD, "shape": [1 << 47] * 8}}, bytes(8)), "does not have the bytes"),
    "nine dimensions": (raw({"w": {**GOOD, "shape": [1] * 8 + [2]}}, bytes(8)), "shape that makes no sense"),
    "a negative shape": (raw({"w": {**GOOD, "shape": [-2]}}, bytes(8)), "shape that makes no sense"),
    "a shape of fractions": (raw({"w": {**GOOD, "shape": [2.0]}}, bytes(8)), "shape that makes no sense"),
    "an unknown type": (raw({"w": {**GOOD, "dtype": "F8_E4M3"}}, bytes(8)), "one of F64, F32, .*'F8_E4M3'"),
    "a type that is a list": (raw({"w": {**GOOD, "dtype": ["F32"]}}, bytes(8)), r"one of F64.*\['F32'\]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_damaged_files(name):
    data, message = HOSTILE[name]
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(data)


def test_a_file_is_known_by_a_small_length_and_a_brace():
    """Other files may have a brace there, behind what would be a length of many gigabytes."""
    assert is_safetensors(struct.pack("<Q", 300) + b'{"w":')
    for head in (
        b'{"names":{"0":',
        b"12345678{",
        struct.pack("<Q", 1 << 32) + b"{",
        struct.pack("<Q", 300) + b"[",
        b"",
    ):
        assert not is_safetensors(head)
