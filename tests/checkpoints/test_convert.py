"""Checkpoints opened as they are, and written as ONNX files: the same results, and nothing left behind."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fastsam_onnx import FastSAM
from fastsam_onnx.checkpoints import convert as conversion
from fastsam_onnx.checkpoints.checkpoint import Checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.convert import export
from fastsam_onnx.cli.program import main
from fastsam_onnx.errors import CheckpointError, ModelError, ModelNotFoundError, OptionError, OutputError
from fastsam_onnx.network.network import Network

TINY = Path(__file__).parents[1] / "data" / "tiny.pt"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def checkpoint() -> Checkpoint:
    return read_checkpoint(TINY)


def run(network: Network) -> list[np.ndarray]:
    tensor = np.random.default_rng(0).random((2, 3, 64, 96), np.float32)
    return [array for result in network.run(tensor) for array in result[:2]]


def assert_same(got: Network, expected: Network) -> None:
    for ours, theirs in zip(run(got), run(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ---------------------------------------------------------------- opening


def test_by_path_by_bytes_and_exported_give_the_same(tmp_path, checkpoint):
    path = tmp_path / "tiny.onnx"
    export(checkpoint, path)
    expected = Network.open(path, threads=1)
    for source in (TINY, str(TINY), TINY.read_bytes()):
        network = Network.open(source, threads=1)
        assert_same(network, expected)
        assert network.contract == expected.contract
    assert Network.open(TINY).name == "tiny.pt"


def test_content_counts_not_the_name(tmp_path):
    other = tmp_path / "weights.onnx"
    other.write_bytes(TINY.read_bytes())
    assert_same(Network.open(other, threads=1), Network.open(TINY, threads=1))


def test_nothing_temporary_stays(temporary):
    network = Network.open(TINY, threads=1)
    assert not list(temporary.iterdir())
    assert run(network)  # what ONNX Runtime mapped is still there
    with pytest.raises(CheckpointError):
        Network.open(TINY.read_bytes()[:-1000])
    with pytest.raises(OptionError):
        Network.open(TINY, threads=0)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("module", "name"), [(tempfile, "TemporaryDirectory"), (conversion, "external_model")])
def test_without_room_for_temporary_files_it_goes_through_memory(temporary, monkeypatch, caplog, module, name):
    expected = Network.open(TINY, threads=1)
    monkeypatch.setattr(module, name, no_room)
    with caplog.at_level(logging.INFO, "fastsam_onnx"):
        assert_same(Network.open(TINY, threads=1), expected)
    assert bool(caplog.messages) == (os.name != "nt")
    assert not list(temporary.iterdir())


def test_options_of_the_session_are_the_caller_s():
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    for _ in range(2):  # and can be used again
        assert_same(Network.open(TINY, session_options=options), Network.open(TINY, threads=1))
    with pytest.raises(OptionError, match="both given"):
        Network.open(TINY, threads=1, session_options=options)


def test_fastsam_takes_a_checkpoint_and_travels():
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    options = {"imgsz": 64, "conf": 0.01, "threads": 1}
    with FastSAM(TINY, **options) as model:
        found, again = model(picture), pickle.loads(pickle.dumps(model))(picture)
        assert repr(model).startswith("FastSAM(tiny.pt, imgsz 64x64")
    assert len(found)
    np.testing.assert_array_equal(found.boxes, again.boxes)
    np.testing.assert_array_equal(found.masks.dense(), again.masks.dense())
    with FastSAM(TINY.read_bytes(), **options) as model:
        np.testing.assert_array_equal(model(picture).boxes, found.boxes)


def test_messages_name_the_file(tmp_path, monkeypatch):
    path = tmp_path / "broken.pt"
    with pytest.raises(ModelNotFoundError, match=r"broken\.pt"):
        Network.open(path)
    path.write_bytes(TINY.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"^broken\.pt: "):
        Network.open(path)
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(CheckpointError, match=r"^broken\.pt: "):
        Network.open(path)

    def other_network(_: Checkpoint) -> None:
        raise ModelError("the checkpoint lacks something")

    monkeypatch.setattr(conversion, "build", other_network)
    with pytest.raises(ModelError, match=r"^tiny\.pt: the checkpoint lacks"):
        Network.open(TINY)


@pytest.mark.process
def test_no_forbidden_module_is_needed():
    code = (
        f"import sys; from fastsam_onnx import FastSAM; FastSAM({str(TINY)!r}, threads=1);"
        "print([m for m in ('torch', 'ultralytics', 'onnx', 'pickle5', 'PIL') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


# ---------------------------------------------------------------- exporting


def test_an_exported_file_needs_no_other(tmp_path, checkpoint):
    export(checkpoint, tmp_path / "a.onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.onnx"]
    model = onnx.load(tmp_path / "a.onnx", load_external_data=False)
    assert not any(tensor.data_location for tensor in model.graph.initializer)
    onnx.checker.check_model(model, full_check=True)


def broken(checkpoint: Checkpoint) -> None:
    """Make the last parameter NaN, so that writing fails at its end."""
    name = "model.22.cv4.2.2.bias"
    checkpoint.arrays[name] = np.full_like(checkpoint.arrays[name], np.nan)


def test_what_was_there_stays_if_writing_fails(tmp_path, checkpoint, monkeypatch):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"before")
    broken(checkpoint)
    with pytest.raises(ModelError, match=r"model\.22\.cv4\.2\.2\.bias is NaN"):
        export(checkpoint, path)
    monkeypatch.setattr(conversion, "model_parts", lambda *_, **__: (no_room() for _ in range(1)))
    with pytest.raises(OutputError, match=r"cannot write .*a\.onnx: No space left"):
        export(checkpoint, path)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a.onnx", b"before")]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (lambda folder: folder / "no" / "a.onnx", "cannot write .*there is no folder .*no; make it first"),
        (lambda folder: folder, "it is a folder; name a file in it"),
        (lambda folder: folder / f"{'x' * 300}.onnx", "cannot write"),
        (lambda folder: f"{folder}/a\0.onnx", "cannot write"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, checkpoint, place, message):
    with pytest.raises(OutputError, match=message):
        export(checkpoint, place(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.pt", "a"])
def test_a_name_by_which_the_file_could_not_be_known_again(tmp_path, checkpoint, name):
    with pytest.raises(OptionError, match=name):
        export(checkpoint, tmp_path / name)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- the command


def test_the_command_writes_the_file_and_tells_its_path(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    assert main(["export", str(TINY), "-o", str(path)]) == 0
    assert capsys.readouterr() == (f"{path}\n", "")
    assert_same(Network.open(path, threads=1), Network.open(TINY, threads=1))


def test_the_command_replaces_only_when_told(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"before")
    assert main(["export", str(TINY), "-o", str(path)]) == 2
    assert " exists; pass --overwrite" in capsys.readouterr().err
    assert path.read_bytes() == b"before"
    assert main(["export", str(TINY), "-o", str(path), "--overwrite"]) == 0
    assert Network.open(path).contract.class_count == 1


def test_the_command_does_not_replace_the_checkpoint(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"  # a checkpoint is known by its content, too
    path.write_bytes(TINY.read_bytes())
    assert main(["export", str(path), "-o", str(path), "--overwrite"]) == 2
    assert "this run reads it; name another place with --output\n" in capsys.readouterr().err
    assert path.read_bytes() == TINY.read_bytes()


@pytest.mark.parametrize("content", [b"hello", b"\x08\x08", TINY.read_bytes()[:400]])
def test_the_command_says_what_is_no_checkpoint(tmp_path, capsys, content):
    source, path = tmp_path / "a.pt", tmp_path / "a.onnx"
    source.write_bytes(content)
    assert main(["export", str(source), "-o", str(path)]) == 2
    assert capsys.readouterr().err.startswith("fastsam-onnx: a.pt: ")
    assert not path.exists()
    assert main(["export", str(source)]) == 2
    assert "-o" in capsys.readouterr().err


def test_an_onnx_file_is_told_to_need_no_export(tmp_path, capsys):
    assert main(["export", "fastsam-nano", "-o", str(tmp_path / "a.onnx")]) == 2
    told = "fastsam-nano.onnx is no checkpoint (.pt, .safetensors); an ONNX file needs no export: copy it\n"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.pt", "A.ENGINE", "a.jpg", "onnx"])
def test_no_onnx_file_gets_the_name_of_another_kind(tmp_path, capsys, name):
    """A .pt would be opened as a checkpoint here; the others were asked of a command that has ONNX alone."""
    assert main(["export", str(TINY), "-o", str(tmp_path / name)]) == 2
    assert f"must end with .onnx, got {tmp_path / name}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced_by_the_file_and_the_command_ends(tmp_path, capsys):
    for command in ("export", "quantize"):
        for more in ([], ["--overwrite"]):
            assert main([command, str(TINY), "-o", str(tmp_path), *more]) == 2
            assert "it is a folder; name a file in it" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- sizes and half precision


@pytest.mark.parametrize(("imgsz", "size"), [(64, (64, 64)), ((64, 96), (64, 96)), (np.int64(32), (32, 32))])
def test_a_file_of_one_size(tmp_path, checkpoint, imgsz, size):
    export(checkpoint, tmp_path / "a.onnx", imgsz=imgsz)
    network = Network.open(tmp_path / "a.onnx", threads=1)
    contract = network.contract
    assert ((contract.height, contract.width), contract.imgsz, contract.batch) == (size, size, None)
    tensor = np.random.default_rng(0).random((2, 3, *size), np.float32)
    for got, expected in zip(network.run(tensor), Network.open(TINY, threads=1).run(tensor), strict=True):
        for ours, theirs in zip(got[:2], expected[:2], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    with pytest.raises(ModelError, match=f"{size[0]}, {size[1]}"):
        network.run(np.zeros((1, 3, size[0] + 32, size[1]), np.float32))


@pytest.mark.parametrize(("imgsz", "message"), [(65, "multiples of 32, got 65x65"), ((64, 40), "got 40x64"), (0, "0")])
def test_sizes_that_the_network_cannot_have(tmp_path, checkpoint, imgsz, message):
    with pytest.raises(OptionError, match=message):
        export(checkpoint, tmp_path / "a.onnx", imgsz=imgsz)
    assert not list(tmp_path.iterdir())


def test_half_precision_halves_the_file_and_rounds_parameters(tmp_path, checkpoint):
    export(checkpoint, tmp_path / "full.onnx")
    export(checkpoint, tmp_path / "half.onnx", half=True)
    model = onnx.load(tmp_path / "half.onnx")
    onnx.checker.check_model(model, full_check=True)
    full, half = (
        {each.name: each for each in onnx.load(tmp_path / name).graph.initializer}
        for name in ("full.onnx", "half.onnx")
    )
    parameters = [name for name in full if not name.startswith("constant")]
    assert len(parameters) > 100
    for name in parameters:
        exact, rounded = onnx.numpy_helper.to_array(full[name]), onnx.numpy_helper.to_array(half[f"{name}.float16"])
        np.testing.assert_array_equal(rounded, exact.astype(np.float16), strict=True)
    sizes = [sum(len(each[name].raw_data) for name in each) for each in (full, half)]
    assert sizes[1] < 0.51 * sizes[0]
    network, expected = Network.open(tmp_path / "half.onnx", threads=1), Network.open(TINY, threads=1)
    assert network.contract.input_dtype == np.float32
    for ours, theirs in zip(run(network), run(expected), strict=True):
        assert np.abs(ours - theirs).mean() < 0.01 * np.abs(theirs).mean()


def test_parameters_beyond_half_precision(tmp_path, checkpoint):
    name = "model.22.cv4.2.2.bias"
    checkpoint.arrays[name] = np.full(checkpoint.arrays[name].shape, 70000, np.float32)
    with pytest.raises(ModelError, match=rf"{name} has values beyond float16"):
        export(checkpoint, tmp_path / "a.onnx", half=True)
    export(checkpoint, tmp_path / "a.onnx")


def test_the_command_takes_size_and_precision(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    assert main(["export", str(TINY), "-o", str(path), "--imgsz", "96x64", "--half"]) == 0
    contract = Network.open(path, threads=1).contract
    assert (contract.height, contract.width) == (64, 96)
    assert main(["export", str(TINY), "-o", str(path), "--overwrite", "--imgsz", "33"]) == 2
    assert "multiples of 32, got 33x33" in capsys.readouterr().err
