"""Hostile checkpoints: each is refused with `CheckpointError`, runs nothing, and takes little time and memory."""

from __future__ import annotations

import contextlib
import pickle
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pt_writer import (
    Call,
    Name,
    Object,
    Parameter,
    View,
    archive,
    checkpoint,
    module,
    official,
    one_layer,
    pickled,
    raw_checkpoint,
    tensor,
    text,
)

from fastsam_onnx import CheckpointError
from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.unpickle import MAX_BYTES, MAX_STEPS, _checked_tensor, read_pickle
from fastsam_onnx.checkpoints.values import Global, Record, Storage, Tensor

CANARY = "canary-of-test-checkpoint"
TOUCH = f"touch {CANARY}"
WRITE = f"open({CANARY!r}, 'w').close()"
ORDERED = Name("collections", "OrderedDict")
CONV = Name("torch.nn.modules.conv", "Conv2d")
DETECT = Name("ultralytics.nn.modules.head", "Detect")
GETATTR = Name("__builtin__", "getattr")


# ---------------------------------------------------------------------------------------------- hostile pickles


def calls(module_name: str, name: str, *arguments: Any) -> Call:
    return Call(Name(module_name, name), arguments)


def layer_with(**attributes: Any) -> Object:
    return module("torch.nn.modules.conv.Conv2d", **attributes)


RUNNERS: dict[str, Any] = {
    "os.system": calls("os", "system", TOUCH),
    "posix.system": calls("posix", "system", TOUCH),
    "nt.system": calls("nt", "system", TOUCH),
    "os.popen": calls("os", "popen", TOUCH),
    "subprocess.Popen": calls("subprocess", "Popen", ["touch", CANARY]),
    "subprocess.check_output": calls("subprocess", "check_output", ["touch", CANARY]),
    "pty.spawn": calls("pty", "spawn", ["touch", CANARY]),
    "eval": calls("builtins", "eval", WRITE),
    "exec": calls("builtins", "exec", WRITE),
    "eval of Python 2's name": calls("__builtin__", "eval", WRITE),
    "open": calls("builtins", "open", CANARY, "w"),
    "io.open": calls("io", "open", CANARY, "w"),
    "__import__": calls("builtins", "__import__", "antigravity"),
    "importlib.import_module": calls("importlib", "import_module", "antigravity"),
    "runpy": calls("runpy", "run_path", CANARY),
    "timeit": calls("timeit", "timeit", WRITE),
    "cProfile": calls("cProfile", "run", WRITE),
    "code.interact": calls("code", "interact"),
    "ctypes": calls("ctypes", "CDLL", "libc.so.6"),
    "webbrowser": calls("webbrowser", "open", "file:///"),
    "shutil.rmtree": calls("shutil", "rmtree", CANARY),
    "marshal and FunctionType": Call(Call(Name("types", "FunctionType"), (calls("marshal", "loads", "x"), {})), ()),
    "pickle within a pickle": calls("pickle", "loads", "cos\nsystem\n"),
    "torch.load": calls("torch", "load", CANARY),
    "torch.storage._load_from_bytes": calls("torch.storage", "_load_from_bytes", "x"),
    "torch.hub.load": calls("torch.hub", "load", "evil/repository", "x"),
    "torch.jit.load": calls("torch.jit", "load", CANARY),
    "numpy.load": calls("numpy", "load", CANARY),
    "numpy.lib.npyio.load": calls("numpy.lib.npyio", "load", CANARY),
    "numpy _reconstruct": calls("numpy.core.multiarray", "_reconstruct", Name("numpy", "ndarray"), (0,), "b"),
    "numpy runstring": calls("numpy.testing._private.utils", "runstring", WRITE, {}),
    "operator.methodcaller": Call(calls("operator", "methodcaller", "touch"), (calls("pathlib", "PosixPath", CANARY),)),
    "functools.partial": Call(calls("functools", "partial", Name("os", "system"), TOUCH), ()),
    "map": calls("builtins", "list", calls("builtins", "map", Name("os", "system"), [TOUCH])),
    "getattr of a module": Call(calls("__builtin__", "getattr", Name("os", "path"), "os"), ("system",)),
    "getattr of builtins": Call(GETATTR, (Name("builtins", "object"), "__subclasses__")),
    "getattr of itself": Call(GETATTR, (GETATTR, "__self__")),
    "getattr of a layer's dunder": Call(GETATTR, (CONV, "__init__")),
    "getattr chain from a layer": Call(GETATTR, (Call(GETATTR, (CONV, "forward")), "__globals__")),
    "getattr of an object's dunder": Call(GETATTR, (Object(CONV), "__reduce__")),
    "calling an object's method": Call(Call(GETATTR, (Object(CONV), "forward")), (TOUCH,)),
    "getattr with a default": Call(GETATTR, (DETECT, "forward", Name("builtins", "getattr"))),
    "calling what getattr gave": Call(Call(GETATTR, (DETECT, "forward")), (TOUCH,)),
    "calling an object": Call(Object(CONV), (TOUCH,)),
    "calling a string": Call("os.system", (TOUCH,)),
    "a dotted name below torch": calls("torch.nn.modules.module", "os.system", TOUCH),
    "a dunder below torch": calls("torch.nn.modules.module", "Module.__init__.__globals__", "x"),
    "a function of torch": calls("torch.nn.functional", "handle_torch_function", TOUCH),
    "a function of ultralytics": calls("ultralytics.utils.checks", "check_requirements", "evil"),
    "a module that begins alike": calls("torch.nnx", "Conv2d", "x"),
    "another that begins alike": calls("ultralytics_evil", "Conv", "x"),
    "a class of __main__": calls("__main__", "Model"),
    "a storage type as a function": calls("torch", "FloatStorage", 1 << 40),
    "in a layer's buffers": layer_with(buffers={"x": calls("os", "system", TOUCH)}),
    "in a layer's state, nested": layer_with(args={"a": [({"b": calls("os", "system", TOUCH)},)]}),
    "as a key": {"model": {calls("os", "system", TOUCH): 1}},
    "as the argument of a tensor": calls("torch._utils", "_rebuild_tensor_v2", calls("os", "system", TOUCH)),
    "in the hooks of a tensor": calls("torch._utils", "_rebuild_parameter", np.zeros(1), calls("os", "system", TOUCH)),
    "in an OrderedDict's arguments": Call(ORDERED, ([["a", calls("os", "system", TOUCH)]],)),
    "OrderedDict of a list": Call(ORDERED, ([["a", "b"]],)),
    "set of lists": calls("builtins", "set", [[1], [2]]),
    "set of a string": calls("builtins", "set", "abc"),
    "Size of a list": calls("torch", "Size", [1, 2]),
    "a layer made by a string": layer_with(x=Call(Name("torch.nn", "Conv2d"), "x")),  # type: ignore[arg-type]
}


def hostile_tree(tree: Any) -> Any:
    """The hostile value in a file that would be good without it."""
    return official(one_layer(weight=np.zeros(1)), extra=tree)


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that hostile pickles would make, in the folder where they would run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / CANARY


@pytest.mark.parametrize("name", RUNNERS)
def test_pickles_that_would_run_something(name, canary):
    loaded = set(sys.modules)
    with pytest.raises(CheckpointError, match=r"its pickle|the attributes of"):
        read_checkpoint(checkpoint(hostile_tree(RUNNERS[name])))
    assert not canary.exists()
    assert set(sys.modules) == loaded


@pytest.mark.process
@pytest.mark.parametrize("name", ["exec", "eval", "open", "cProfile"])
def test_the_same_pickles_do_run_under_pythons_own_reader(name, canary):
    """Otherwise the absence of the canary would prove nothing."""
    data, _ = pickled(RUNNERS[name])
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", code], input=data, cwd=canary.parent, check=False, capture_output=True)
    assert canary.exists()


CLASS = b"ctorch.nn.modules.conv\nConv2d\n"
OPCODES: dict[str, bytes] = {
    "STACK_GLOBAL of os.system": text("os") + text("system") + b"\x93" + text(TOUCH) + b"\x85R",
    "STACK_GLOBAL of a dotted name": text("torch.nn") + text("Module.os.system") + b"\x93",
    "STACK_GLOBAL of a number": text("os") + b"K\1\x93",
    "STACK_GLOBAL of a name": b"cbuiltins\nset\n" + text("x") + b"\x93",
    "STACK_GLOBAL with a line break": text("torch.nn\nos") + text("Conv2d\nsystem") + b"\x93",
    "STACK_GLOBAL with a zero": text("torch.nn") + text("Conv2d\0") + b"\x93",
    "STACK_GLOBAL of nothing": b"\x93",
    "GLOBAL without an end": b"cos",
    "GLOBAL that is no UTF-8": b"c\xff\xfe\nx\n",
    "GLOBAL of a long name": b"ctorch.nn." + b"a" * 100_000 + b"\nX\n",
    "GLOBAL of a function of torch, which nothing calls": b"ctorch\nload\n",
    "GLOBAL of a long class": b"ctorch.nn\n" + b"A" * 201 + b"\n",
    "INST": b"(" + text(TOUCH) + b"ios\nsystem\n",
    "OBJ": b"(" + CLASS + text(TOUCH) + b"o",
    "EXT1": b"\x82\1",
    "EXT2": b"\x83\1\0",
    "EXT4": b"\x84\1\0\0\0",
    "NEWOBJ_EX": CLASS + b")}\x92",
    "NEWOBJ of set": b"cbuiltins\nset\n)\x81",
    "NEWOBJ of OrderedDict": b"ccollections\nOrderedDict\n)\x81",
    "NEWOBJ of a string": text("os.system") + b")\x81",
    "NEWOBJ of an object": CLASS + b")\x81)\x81",
    "NEWOBJ without arguments": CLASS + b"N\x81",
    "PERSID": b"Pos.system\n",
    "BINPERSID of a string": text("os.system") + b"Q",
    "BINPERSID of another kind": b"(" + text("module") + CLASS + text("0") + text("cpu") + b"K\1tQ",
    "a storage of no type": b"(" + text("storage") + CLASS + text("0") + text("cpu") + b"K\1tQ",
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 1 << 40),
    "NEXT_BUFFER": b"\x97",
    "READONLY_BUFFER": b"N\x98",
    "DUP": b"N2",
    "FLOAT as text": b"F1.5\n",
    "INT as text": b"I" + b"9" * 5000 + b"\n",
    "LONG4": b"\x8b" + struct.pack("<i", 1 << 30),
    "LONG4 of a negative size": b"\x8b\xff\xff\xff\xff",
    "a long integer": b"\x8a\xff" + bytes([255]) * 255,
    "BUILD of a class": CLASS + b"}" + text("forward") + b"cbuiltins\nset\nsb",
    "BUILD of a dict": b"}}b",
    "BUILD of a list": b"]}b",
    "BUILD of a string": text("x") + b"}b",
    "BUILD twice": CLASS + b")\x81}b}b",
    "BUILD with slots": CLASS + b")\x81N}" + text("forward") + b"Ns\x86b",
    "BUILD with numbers": CLASS + b")\x81}K\1Nsb",
    "BUILD with a list": CLASS + b")\x81]b",
    "BUILD of nothing": b"}b",
    "items of an object": CLASS + b")\x81" + text("a") + b"Ns",
    "items of a list": b"]K\0Ns",
    "an odd number of items": b"}(K\0K\1K\2u",
    "APPEND to an object": CLASS + b")\x81Na",
    "APPENDS to a string": text("x") + b"(Ne",
    "ADDITEMS to a list": b"](K\1\x90",
    "ADDITEMS of a list": b"\x8f(]\x90",
    "a list as a key": b"}]Ns",
    "a tuple as a key": b"})Ns",
    "APPENDS without a mark": b"]e",
    "TUPLE3 of one": b"N\x87",
    "an unknown memo": b"h\7",
    "the end too early": b"NN",
    "a mark that stays": b"(N",
    "nothing": b"",
    "a string that is longer than the file": b"X\xff\xff\xff\xff",
    "a longer one": b"\x8d" + struct.pack("<Q", 1 << 62),
    "bytes that are longer than the file": b"B\xff\xff\xff\xffabc",
    "a frame that is longer than the file": b"\x95" + struct.pack("<Q", 1 << 63),
    "a number that is cut off": b"J\1",
    "text that is no UTF-8": b"X\2\0\0\0\xff\xfe",
    "another protocol within": b"\x80\4N",
    "a pickle behind the pickle": b"}.cos\nsystem\n",
}


@pytest.mark.parametrize("name", OPCODES)
def test_opcodes_out_of_place(name, canary):
    """The interpreter refuses them: what it lets through is no network either, and would be refused for that."""
    with pytest.raises(CheckpointError):
        read_pickle(b"\x80\2" + OPCODES[name] + b".", {"0": 64}.get)
    assert not canary.exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\2", b"cos\nsystem\n(S'x'\ntR.", b"\x80\1}.", b"\x80\6}.", b"}."])
def test_pickles_of_no_protocol_that_torch_writes(data):
    with pytest.raises(CheckpointError):
        read_pickle(data, {}.get)


FLOATS = np.zeros(16, np.float32)
TENSORS: dict[str, View] = {
    "a huge shape": tensor(FLOATS, shape=(1 << 40,), strides=(1,)),
    "a huge shape by a stride of 0": tensor(FLOATS, shape=(1 << 40,), strides=(0,)),
    "a shape that overflows 64 bits": tensor(FLOATS, shape=(1 << 62, 1 << 62, 0), strides=(1, 1, 1), offset=17),
    "many dimensions": tensor(FLOATS, shape=(1,) * 65, strides=(1,) * 65),
    "a negative shape": tensor(FLOATS, shape=(-1,)),
    "a negative stride": tensor(FLOATS, offset=15, strides=(-1,)),
    "a negative offset": tensor(FLOATS, offset=-1, shape=(1,)),
    "an offset beyond": tensor(FLOATS, offset=16, shape=(1,)),
    "a stride beyond": tensor(FLOATS, shape=(2,), strides=(16,)),
    "a stride far beyond": tensor(FLOATS, shape=(2,), strides=((1 << 63) - 1,)),
    "one element too many": tensor(FLOATS, shape=(17,)),
    "more strides than sides": tensor(FLOATS, strides=(1, 1)),
    "a shape of floats": tensor(FLOATS, shape=(2.0,)),  # type: ignore[arg-type]
    "a shape of truths": tensor(FLOATS, shape=(True,)),
    "an offset that is a truth": tensor(FLOATS, offset=True, shape=(1,)),
    "a shape that is a list": tensor(FLOATS, shape=[16]),  # type: ignore[arg-type]
    "a storage beyond its entry": tensor(FLOATS, count=1 << 40, shape=(1 << 40,)),
    "a storage a bit beyond its entry": tensor(FLOATS, count=17),
    "a storage of wider elements": tensor(FLOATS, kind="DoubleStorage"),
    "a storage of a negative size": tensor(FLOATS, count=-16),
    "an element type that is not known": tensor(FLOATS, kind="ComplexFloatStorage"),
    "a storage without a type": tensor(FLOATS, kind="UntypedStorage"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_their_storages(name):
    with pytest.raises(CheckpointError):
        read_checkpoint(checkpoint(one_layer(weight=Parameter(TENSORS[name]))))


def test_attributes_of_stand_ins_mean_nothing_to_python():
    layer = layer_with(parameters={"weight": np.float32([1])})
    for name in ("__class__", "__dict__", "__reduce__", "__setstate__", "get", "kind"):
        layer.attributes[name] = "x"
    assert read_checkpoint(checkpoint(layer)).arrays["weight"].tolist() == [1]
    data, _ = pickled(layer)
    assert type(read_pickle(data, lambda _: 4)) is Record


@pytest.mark.parametrize("owner", [DETECT, Object(DETECT)])
def test_getattr_is_answered_by_a_name(owner):
    data, _ = pickled(Call(GETATTR, (owner, "forward")))
    assert read_pickle(data, lambda _: None) == Global(DETECT.module, "Detect.forward")


WHOLE = [0, 255, 256, 65_535, 65_536, -1, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 63) - 1, -(1 << 63)]
PLAIN_VALUES = {
    "constants": [None, True, False],
    "integers": WHOLE,
    "fractions": [0.0, 1.5, -1e300],
    "texts": ["", "é", "a" * 255, "a" * 256, "\ud800"],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "lists": [[], [1], [1, [2, 3]]],
    "dicts": [{}, {"a": 1}, {"a": 1, 2: None}],
    "sets": [set(), {1}, {1, 2}],
    "one thing twice": [WHOLE, WHOLE],
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", PLAIN_VALUES)
def test_plain_values_of_every_protocol(protocol, kind):
    found = read_pickle(pickle.dumps(PLAIN_VALUES[kind], protocol), {}.get)
    assert repr(found) == repr(PLAIN_VALUES[kind])


def test_a_pickle_has_bytes_from_protocol_3_on():
    for value in (b"", b"a" * 255, b"a" * 256):
        assert read_pickle(pickle.dumps(value, 3), {}.get) == value


def test_a_frame_ends_with_the_pickle():
    """Two bytes follow the length of this one."""
    assert read_pickle(b"\x80\4\x95" + struct.pack("<Q", 2) + b"N.", {}.get) is None
    with pytest.raises(CheckpointError, match="makes no sense"):
        read_pickle(b"\x80\4\x95" + struct.pack("<Q", 3) + b"N.", {}.get)


# ---------------------------------------------------------------------------------------------- too much of something


def test_a_pickle_that_is_too_long_is_refused_before_its_first_step():
    start = b"\x80\2" + b"X" + struct.pack("<I", MAX_BYTES - 8)
    text_alone = start + bytes(MAX_BYTES - 8) + b"."
    assert len(text_alone) == MAX_BYTES
    assert len(read_pickle(text_alone, {}.get)) == MAX_BYTES - 8
    with pytest.raises(CheckpointError, match="has 16,777,217 bytes; at most 16,777,216 are read"):
        read_pickle(text_alone + b".", {}.get)


def nested_network(depth: int, width: int) -> bytes:
    """A network in which each layer has the next one `width` times: few bytes, many parts."""
    layer = module("torch.nn.Conv2d", parameters={"weight": np.zeros(1)})
    for _ in range(depth):
        layer = module("torch.nn.Sequential", {str(index): layer for index in range(width)})
    return checkpoint(layer)


def cyclic_network() -> bytes:
    layer = module("torch.nn.Sequential")
    layer.attributes["_modules"]["again"] = layer
    return checkpoint(layer)


def many_views() -> bytes:
    """A storage of 4 MB that a thousand parameters transpose: 4 GB if each were copied."""
    storage = np.zeros(1 << 20, np.float32)
    view = View(storage, 0, (1 << 10, 1 << 10), (1, 1 << 10))
    return checkpoint(one_layer(**{f"w{index}": Parameter(view) for index in range(1000)}))


def many_wide_views() -> bytes:
    storage = np.zeros(1 << 21, np.uint16)
    view = View(storage, 0, (1 << 21,), (1,), kind="BFloat16Storage")
    return checkpoint(one_layer(**{f"w{index}": Parameter(view) for index in range(1000)}))


def long_list(then: bytes, times: int) -> bytes:
    """A list of 300000 numbers in the memo, and what is done with it many times."""
    return b"](" + b"K\1" * 300_000 + b"er\0\0\0\0" + b"cbuiltins\nset\nr\1\0\0\0" + then * times


def compressed_zeros() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", compression=zipfile.ZIP_DEFLATED) as target:
        target.writestr("best/data.pkl", bytes(1 << 27))
    return out.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "a memo of a huge index": lambda: raw_checkpoint(b"Nr\xff\xff\xff\x7fr\xff\xff\xff\xff"),
    "a memo of many": lambda: raw_checkpoint(b"]" + b"\x94" * (MAX_BYTES - 100)),
    "a pickle that is too long": lambda: raw_checkpoint(b"]" * (MAX_BYTES + 1)),
    "many lists": lambda: raw_checkpoint(b"]" * (MAX_BYTES - 100)),
    "many marks": lambda: raw_checkpoint(b"(" * (MAX_BYTES - 100)),
    "many dicts": lambda: raw_checkpoint(b"}NNs" * (MAX_STEPS // 4 - 10)),
    "many sets": lambda: raw_checkpoint(b"\x8f(K\1\x90" * (MAX_STEPS // 4 - 10)),
    "many names": lambda: raw_checkpoint(b"cbuiltins\nset\n" * (MAX_STEPS - 10)),
    "many objects": lambda: raw_checkpoint(CLASS + b"q\0" + b"h\0)\x81}b" * (MAX_STEPS // 5 - 10)),
    "lists in lists": lambda: raw_checkpoint(b"]" * 400_000 + b"a" * 399_999),
    "tuples in tuples": lambda: raw_checkpoint(b"N" + b"\x85" * 900_000),
    "tuples in tuples as a key": lambda: raw_checkpoint(b"}N" + b"\x85" * 900_000 + b"Ns"),
    "dicts in dicts": lambda: raw_checkpoint((b"}" + text("a")) * 100_000 + b"N" + b"s" * 100_000),
    "objects in objects": lambda: raw_checkpoint(
        CLASS + b"q\0" + (b"h\0)\x81}" + text("a")) * 60_000 + b"N" + b"sb" * 60_000
    ),
    "storages of one long name": lambda: raw_checkpoint(
        text("0" * 10_000_000)
        + b"q\1ctorch\nFloatStorage\nq\2"
        + (b"(" + text("storage") + b"h\2h\1" + text("cpu") + b"K\x10tQ") * 50_000
    ),
    "names of one long module": lambda: raw_checkpoint(
        text("torch.nn" + ".a" * 5_000_000) + b"q\1" + text("Conv2d") + b"q\2" + b"h\1h\2\x93" * 50_000
    ),
    "sets of one long list": lambda: raw_checkpoint(long_list(b"j\1\0\0\0j\0\0\0\0\x85R", 100_000)),
    "attributes of one large dict": lambda: raw_checkpoint(
        b"}("
        + b"".join(text(f"{n}") + b"N" for n in range(200_000))
        + b"uq\0"
        + CLASS
        + b"q\1"
        + b"h\1)\x81h\0b" * 50_000
    ),
    "shapes of one long tuple": lambda: raw_checkpoint(
        b"(" + b"K\1" * 200_000 + b"tq\0" + b"ctorch._utils\n_rebuild_tensor_v2\nq\1"
        b"("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + text("cpu")
        + b"K\x10tQq\2"
        + b"h\1(h\2K\0h\0h\0\x89tR" * 50_000
    ),
    "keys of one hash": lambda: raw_checkpoint(
        b"}(" + b"".join(b"\x8a\x08" + struct.pack("<q", n << 40) + b"N" for n in range(300_000)) + b"u"
    ),
    "many large messages": lambda: raw_checkpoint(text("a" * 10_000_000) + b"\x81"),
    "layers in layers": lambda: nested_network(100, 1),
    "layers that double": lambda: nested_network(15, 2),
    "layers that multiply": lambda: nested_network(8, 1000),
    "a layer within itself": cyclic_network,
    "views that have to be copied": many_views,
    "views that have to be widened": many_wide_views,
    "a zip of many entries": lambda: archive({"data.pkl": b"\x80\2}.", **{str(n): b"" for n in range(65_000)}}),
    "a zip bomb": compressed_zeros,
}


@pytest.mark.process
@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_ask_for_much(name, tmp_path):
    """Refused within 5 seconds of processor time and 500 MB; Linux ends a process that takes more."""
    path = tmp_path / "bomb.pt"
    path.write_bytes(BOMBS[name]())
    code = """
        import sys
        from fastsam_onnx import CheckpointError
        from fastsam_onnx.checkpoints.checkpoint import read_checkpoint

        if sys.platform == "linux":
            import resource

            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 500_000_000,) * 2)
            resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        try:
            read_checkpoint(sys.argv[1])
        except CheckpointError as error:
            message = str(error)
            assert len(message) < 500, message[:1000]
            sys.exit(7)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr


def test_nested_values_beside_the_network_are_never_walked():
    """Twice the same list, forty levels deep, is a million million items to whoever walks it."""
    levels = b"".join(b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(40))
    doubled = b"(]q\0" + levels + b"t"
    data, storages = pickled(np.float32([1]))
    code = b"}(" + text("train_args") + b"}" + text("a") + doubled + b"s" + text("w") + data[2:-1] + b"u"
    found = read_checkpoint(archive({"data.pkl": b"\x80\2" + code + b".", "data/0": storages["0"]}))
    assert found.arrays["w"].tolist() == [1]
    assert found.train_args == {}


# ---------------------------------------------------------------------------------------------- pickles at random


SMALL_PICKLE, SMALL_STORAGES = pickled(official(one_layer(weight=Parameter(np.float16([1, 2])), bias=np.float32([3]))))


@given(st.data())
def test_a_changed_pickle_with_right_checksums_gives_an_error_or_a_checkpoint(data):
    """No exception but ours, whatever the opcodes are."""
    changed = bytearray(SMALL_PICKLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    entries = {"data.pkl": bytes(changed), **{f"data/{key}": value for key, value in SMALL_STORAGES.items()}}
    try:
        found = read_checkpoint(archive(entries))
    except CheckpointError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.arrays.values())


CODES = [
    *(bytes([code]) for code in b"()]}N\x89\x85\x86teusaRbQ\x81\x93\x94\x8f\x90"),
    *(b"K\0", b"K\1", b"q\0", b"h\0", b"q\1", b"h\1", text("0"), text("storage"), text("cpu"), text("forward"), CLASS),
    *(b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n"),
    *(b"c__builtin__\ngetattr\n", b"cbuiltins\nset\n", b"ccollections\nOrderedDict\n", b"ctorch\nSize\n"),
]


@given(st.lists(st.sampled_from(CODES), max_size=40))
def test_any_order_of_opcodes_gives_an_error_or_a_checkpoint(codes):
    """No exception but ours."""
    with contextlib.suppress(CheckpointError):
        read_checkpoint(raw_checkpoint(b"".join(codes)))


def test_a_tensor_ends_with_its_storage():
    """Of four elements: two with a stride of 3 are the first and the last, but not from the second on."""
    storage = Storage("0", "float32", 4)
    for offset, shape, strides in ((0, (2,), (3,)), (1, (3,), (1,)), (4, (0,), (1,)), (0, (2, 2), (2, 1))):
        assert _checked_tensor(Tensor(storage, offset, shape, strides)).shape == shape
    for offset, shape, strides in ((1, (2,), (3,)), (2, (3,), (1,)), (5, (0,), (1,)), (0, (3, 2), (0, 1))):
        with pytest.raises(CheckpointError, match="reaches beyond its storage"):
            _checked_tensor(Tensor(storage, offset, shape, strides))


def test_an_object_has_its_attributes_once():
    """Whoever has seen them may go by them."""
    new = b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81"
    assert read_pickle(new + b"}b.", lambda _: None).attributes == {}
    with pytest.raises(CheckpointError, match="only of new objects is needed"):
        read_pickle(new + b"}b}b.", lambda _: None)


@pytest.mark.parametrize("data", [b"\x80\x02N.N", b"\x80\x02N.\0", b"\x80\x02(N.", b"\x80\x02NN."])
def test_a_pickle_ends_where_it_says_with_one_value(data):
    assert read_pickle(b"\x80\x02N.", lambda _: None) is None
    with pytest.raises(CheckpointError, match="does not end where it says"):
        read_pickle(data, lambda _: None)


def test_what_is_looked_through_again_and_again_counts_each_time():
    """A thousand names that six hundred objects share, and a thousand numbers that six hundred sets are made of."""
    names = b"}q\0(" + b"".join(b"X\x04\0\0\0%04dN" % number for number in range(1000)) + b"u"
    layer = b"ctorch.nn.modules.linear\nLinear\nq\1"
    numbers = b"]q\0(" + b"".join(b"M" + struct.pack("<H", number) for number in range(1000)) + b"e"
    for shared, kind, use in ((names, layer, b"h\1)\x81h\0b"), (numbers, b"c__builtin__\nset\nq\1", b"h\1h\0\x85R")):
        for count in (3, 600):
            data = b"\x80\x02](" + shared + kind + use * count + b"e."
            if count == 3:
                assert len(read_pickle(data, lambda _: None)) == 2 + 3
                continue
            with pytest.raises(CheckpointError, match="takes more than 500,000 steps"):
                read_pickle(data, lambda _: None)


def test_a_key_without_a_value_makes_no_sense():
    assert read_pickle(b"\x80\x02}(NNu.", lambda _: None) == {None: None}
    with pytest.raises(CheckpointError, match="makes no sense"):
        read_pickle(b"\x80\x02}(NNNu.", lambda _: None)
