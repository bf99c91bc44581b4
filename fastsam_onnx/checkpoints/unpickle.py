"""An interpreter of pickles that runs nothing.

`pickle` resolves the names in a file to functions and calls them. This one never does: a name stays a name
(`Global`), an object stays a record of its attributes (`Record`), a tensor a description (`Tensor`), and the few calls
that parameters need are answered here. It knows the opcodes that `torch.save` writes (protocols 2 to 5) and
refuses all others. Python's own opcodes are described in the standard library's `pickletools`.

A pickle can ask for much more memory than it has bytes; so steps are counted, no step copies a value that is
already there, and nested values are never walked by recursion.

`CheckpointError` is raised with the reason alone; `checkpoint.read_checkpoint` adds the file's name.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fastsam_onnx.checkpoints.values import Global, Record, Storage, Tensor
from fastsam_onnx.errors import CheckpointError

# The largest files of the family (YOLOv8x-seg with its moving average and an optimizer) need about a third.
MAX_STEPS = 500_000
MAX_BYTES = 1 << 24
_MAX_DIMENSIONS = 8
_PROTOCOLS = tuple(bytes([0x80, version]) for version in (2, 3, 4, 5))
_MAX_NAME = 200
# To judge a name takes longer than other steps; a pickle writes each of them once.
_STEPS_OF_A_NAME = 10
_MAX_INTEGER_BYTES = 8

# The element types of storages: NumPy's name and the bytes of one element.
_ELEMENTS = {
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "DoubleStorage": ("float64", 8),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}

# Classes that become records: layers, and what ultralytics keeps beside them, under old and new module paths.
# A capital letter tells a class from a function; a dotted name is a method, which is kept as a name only.
_RECORD_MODULE = re.compile(r"(torch\.nn|ultralytics)(\.[a-z][a-z0-9_]*)*", re.ASCII)
_RECORD_CLASS = re.compile(r"(?=[^.]*[A-Z])[A-Za-z]\w*(\.[A-Za-z]\w*)?", re.ASCII)
# The modules of YOLOv5's and YOLOv7's repositories, whose networks are refused by their name.
_YOLOV5_MODULES = ("models", "utils")
_METHOD = re.compile(r"[a-z]\w*", re.ASCII)
# Leftovers of training beside the network: a device, an element type, a path, a NumPy number. None is looked into.
_PLAIN = frozenset({
    "torch.device", "torch.float16", "torch.float32", "torch.bfloat16",
    "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "_codecs.encode",
    "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
})  # fmt: skip


def read_pickle(data: bytes, storage_bytes: Callable[[str], int | None]) -> Any:
    """The tree of values in a pickle of torch's.

    Args:
        data: The pickle.
        storage_bytes: Number of bytes of the storage of a key; None if the file has none.

    Returns:
        dict, OrderedDict, list, tuple, set, str, bytes, numbers, bool, None, Global, Record and Tensor. The same object
        may occur in many places, also within itself.

    Raises:
        CheckpointError: If the pickle is damaged, asks for anything that parameters do not need, or is too large.
    """
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"its pickle has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if data[:2] not in _PROTOCOLS:
        raise CheckpointError(
            f"its pickle must have a protocol from 2 to 5, as torch.save writes them, got {data[:2]!r}"
        )
    machine = _Machine(data, storage_bytes)
    try:
        return machine.run()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise CheckpointError(f"its pickle makes no sense at byte {machine.position}; the file is damaged") from None


class _Machine:
    """The state of the interpreter: a stack, the stacks below the marks, and the memo."""

    def __init__(self, data: bytes, storage_bytes: Callable[[str], int | None]) -> None:
        self.data = data
        self.position = 2
        self.storage_bytes = storage_bytes
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def run(self) -> Any:
        actions = _ACTIONS
        data = self.data
        while True:
            self.spend(1)
            code = data[self.position]
            self.position += 1
            if code == _STOP:
                break
            action = actions.get(code)
            if action is None:
                raise CheckpointError(f"its pickle has the opcode {bytes([code])!r}, which torch.save never writes")
            action(self)
        if len(self.stack) != 1 or self.below or self.position != len(data):
            raise CheckpointError("its pickle does not end where it says; the file is damaged")
        return self.stack[0]

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise CheckpointError(
                f"its pickle takes more than {MAX_STEPS:,} steps; checkpoints of this family take far fewer"
            )

    # The operands that follow an opcode in the file.

    def take(self, count: int) -> bytes:
        start = self.position
        self.position = end = start + count
        if end > len(self.data):
            raise IndexError
        return self.data[start:end]

    def take_number(self, layout: struct.Struct) -> Any:
        (number,) = layout.unpack_from(self.data, self.position)
        self.position += layout.size
        return number

    def take_line(self) -> str:
        start = self.position
        end = self.data.find(b"\n", start)
        if end < 0:
            raise IndexError
        self.position = end + 1
        return self.data[start:end].decode("utf-8")

    # Groups of opcodes.

    def push_text(self, layout: struct.Struct) -> None:
        # Surrogates are what pickle itself lets through.
        self.stack.append(self.take(self.take_number(layout)).decode("utf-8", "surrogatepass"))

    def push_bytes(self, layout: struct.Struct) -> None:
        self.stack.append(self.take(self.take_number(layout)))

    def push_number(self, layout: struct.Struct) -> None:
        self.stack.append(self.take_number(layout))

    def push_long(self) -> None:
        count = self.take_number(_UINT8)
        if count > _MAX_INTEGER_BYTES:
            raise CheckpointError(
                f"its pickle has an integer of {count} bytes; at most {_MAX_INTEGER_BYTES} are needed"
            )
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def push_tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def push_marked_tuple(self) -> None:
        items = self.to_mark()
        self.stack.append(tuple(items))

    def skip_frame(self) -> None:
        if self.take_number(_UINT64) > len(self.data) - self.position:
            raise IndexError

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.below.pop()
        return items

    def put(self, layout: struct.Struct) -> None:
        self.memo[self.take_number(layout)] = self.stack[-1]

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, layout: struct.Struct) -> None:
        self.stack.append(self.memo[self.take_number(layout)])

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise CheckpointError(f"its pickle appends to {_describe(target)}; only to a list is needed")
        target.extend(items)

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise CheckpointError(f"its pickle adds to {_describe(target)}; only to a set is needed")
        target.update(_keys(items))

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict and type(target) is not OrderedDict:
            raise CheckpointError(f"its pickle sets items of {_describe(target)}; only of a dict is needed")
        if len(items) % 2:
            raise IndexError
        target.update(zip(_keys(items[::2]), items[1::2], strict=True))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    # Names, objects and calls.

    def global_line(self) -> None:
        module = self.take_line()
        self.push_global(module, self.take_line())

    def global_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(module) is not str or type(name) is not str:
            raise CheckpointError(f"its pickle asks for {_describe(name)} in {_describe(module)}, which are not names")
        self.push_global(module, name)

    def push_global(self, module: str, name: str) -> None:
        self.spend(_STEPS_OF_A_NAME)
        self.stack.append(_allowed(module, name))

    def new_object(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not _is_record_class(kind) or type(arguments) is not tuple:
            raise CheckpointError(
                f"its pickle makes an object of {_describe(kind)}; only classes of layers are accepted"
            )
        self.stack.append(Record(kind, arguments))

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            raise CheckpointError(f"its pickle calls {_describe(function)}, which parameters do not need")
        if answer := _ANSWERS.get(str(function)):
            result = answer(self, arguments)
        elif str(function) in _PLAIN or _is_record_class(function):
            result = Record(function, arguments)
        else:
            raise CheckpointError(f"its pickle calls {_describe(function)}, which parameters do not need")
        self.stack.append(result)

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is OrderedDict and type(state) is dict:
            return  # a state_dict carries the versions of its modules as an attribute
        if type(target) is not Record or target.attributes is not None:
            raise CheckpointError(
                f"its pickle sets the attributes of {_describe(target)}; only of new objects is needed"
            )
        if str(target.kind) in _PLAIN:
            return
        if type(state) is not dict:
            raise CheckpointError(f"the attributes of a {target.kind} are {_describe(state)}; they come as a dict")
        self.spend(len(state))
        if not all(type(key) is str for key in state):
            raise CheckpointError(f"the attributes of a {target.kind} have names that are not strings")
        # The dict itself, not a copy: the same large one could be given to every object.
        target.attributes = state

    def storage(self) -> None:
        match self.stack.pop():
            case ("storage", Global(module="torch", name=name), str(key), str(), int(count)) if name in _ELEMENTS:
                dtype, size = _ELEMENTS[name]
            case other:
                raise CheckpointError(f"its pickle refers to {_describe(other)}; only storages of tensors are accepted")
        if len(key) > _MAX_NAME or (found := self.storage_bytes(key)) is None:
            raise CheckpointError(f"the storage {key!r:.40} is not in the file")
        if found != count * size:
            raise CheckpointError(f"the storage {key!r:.40} has {found} bytes; {count} elements take {count * size}")
        self.stack.append(Storage(key, dtype, count))

    # The calls that are answered.

    def call_ordered_dict(self, arguments: tuple[Any, ...]) -> OrderedDict[Any, Any]:
        if arguments:
            raise CheckpointError(f"its pickle makes an OrderedDict of {_describe(arguments)}; torch makes empty ones")
        return OrderedDict()

    def call_set(self, arguments: tuple[Any, ...]) -> set[Any]:
        match arguments:
            case (list(items),):
                self.spend(len(items))
                return set(_keys(items))
        raise CheckpointError(f"its pickle makes a set of {_describe(arguments)}; it comes as a list")

    def call_getattr(self, arguments: tuple[Any, ...]) -> Global:
        """Old segmentation heads keep a method, `getattr(Detect, 'forward')`; fused layers one of their own."""
        match arguments:
            case (Global() as kind, str(name)) | (Record(kind=kind), str(name)):
                if _is_record_class(kind) and len(name) <= _MAX_NAME and _METHOD.fullmatch(name):
                    return Global(kind.module, f"{kind.name}.{name}")
        raise CheckpointError(
            f"its pickle calls getattr on {_describe(arguments)}; only methods of layers are accepted"
        )

    def call_size(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        match arguments:
            case (tuple(shape),):
                return shape
        raise CheckpointError(f"its pickle makes a torch.Size of {_describe(arguments)}; it comes as a tuple")

    def call_tensor(self, arguments: tuple[Any, ...]) -> Tensor:
        match arguments:
            case (Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), *_):
                return _checked_tensor(Tensor(storage, offset, shape, strides))
        raise CheckpointError(f"its pickle makes a tensor of {_describe(arguments)}")

    def call_parameter(self, arguments: tuple[Any, ...]) -> Tensor:
        match arguments:
            case (Tensor() as tensor, bool(), *_):
                return tensor
        raise CheckpointError(f"its pickle makes a parameter of {_describe(arguments)}")


def _allowed(module: str, name: str) -> Global:
    wanted = Global(module[:_MAX_NAME], name[:_MAX_NAME])
    known = str(wanted) in _ANSWERS or str(wanted) in _PLAIN or (wanted.module == "torch" and wanted.name in _ELEMENTS)
    record = _RECORD_MODULE.fullmatch(wanted.module) and _RECORD_CLASS.fullmatch(wanted.name)
    if (known or record) and len(module) <= _MAX_NAME and len(name) <= _MAX_NAME:
        return wanted
    if wanted.module.split(".")[0] in _YOLOV5_MODULES:
        raise CheckpointError(
            f"its pickle asks for {str(wanted)!r:.120}: it is a checkpoint of YOLOv5 or YOLOv7, which only their own "
            "repository reads; export it there (python export.py --weights FILE.pt --include onnx) and give FILE.onnx"
        )
    raise CheckpointError(
        f"its pickle asks for {str(wanted)!r:.120}, which parameters do not need. Nothing of it was run. "
        "If you trust the file, save the network's state_dict() where it was made, and give that file"
    )


def _is_record_class(kind: Any) -> bool:
    return type(kind) is Global and "." not in kind.name and _RECORD_MODULE.fullmatch(kind.module) is not None


def _keys(items: list[Any]) -> list[Any]:
    # Deeply nested keys would be hashed by recursion.
    for item in items:
        if type(item) not in _KEY_TYPES:
            raise CheckpointError(f"its pickle has {_describe(item)} as a key; keys are strings and numbers")
    return items


_KEY_TYPES = frozenset({str, int, float, bool, type(None)})


def _checked_tensor(tensor: Tensor) -> Tensor:
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    if len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS or not _are_counts(tensor.offset, *shape, *strides):
        raise CheckpointError(f"a tensor has the shape {_describe(shape)} and the strides {_describe(strides)}")
    count, last = 1, tensor.offset
    for length, stride in zip(shape, strides, strict=True):
        count *= length
        last += (length - 1) * stride
    if count > storage.count or (count and last >= storage.count) or tensor.offset > storage.count:
        raise CheckpointError(
            f"a tensor of the shape {shape} reaches beyond its storage {storage.key!r:.40} of {storage.count} elements"
        )
    return tensor


def _are_counts(*values: Any) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


def _describe(value: Any) -> str:
    """A value in a message: short, and never by recursion into what it holds."""
    if isinstance(value, tuple) and len(value) <= _MAX_DIMENSIONS:
        return "(" + ", ".join(_describe_one(item) for item in value) + ")"
    return _describe_one(value)


def _describe_one(value: Any) -> str:
    if isinstance(value, Global):
        return f"{str(value)!r:.120}"
    if isinstance(value, Record):
        return f"a {str(value.kind)!r:.120}"
    if value is None or isinstance(value, int | float | str):
        return f"{value!r:.60}"
    return f"a {type(value).__name__}"


_UINT8, _UINT16, _INT32, _UINT32, _UINT64 = (struct.Struct(layout) for layout in ("B", "<H", "<i", "<I", "<Q"))
_FLOAT64 = struct.Struct(">d")
_STOP = ord(".")

_ACTIONS: dict[int, Callable[[_Machine], None]] = {
    0x95: _Machine.skip_frame,
    ord("("): _Machine.mark,
    # Constants.
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("K"): lambda m: m.push_number(_UINT8),
    ord("M"): lambda m: m.push_number(_UINT16),
    ord("J"): lambda m: m.push_number(_INT32),
    0x8A: _Machine.push_long,
    ord("G"): lambda m: m.push_number(_FLOAT64),
    0x8C: lambda m: m.push_text(_UINT8),
    ord("X"): lambda m: m.push_text(_UINT32),
    0x8D: lambda m: m.push_text(_UINT64),
    ord("C"): lambda m: m.push_bytes(_UINT8),
    ord("B"): lambda m: m.push_bytes(_UINT32),
    # Containers.
    ord(")"): lambda m: m.stack.append(()),
    0x85: lambda m: m.push_tuple(1),
    0x86: lambda m: m.push_tuple(2),
    0x87: lambda m: m.push_tuple(3),
    ord("t"): _Machine.push_marked_tuple,
    ord("]"): lambda m: m.stack.append([]),
    ord("a"): lambda m: m.append([m.stack.pop()]),
    ord("e"): lambda m: m.append(m.to_mark()),
    ord("}"): lambda m: m.stack.append({}),
    ord("s"): _Machine.set_item,
    ord("u"): lambda m: m.set_items(m.to_mark()),
    0x8F: lambda m: m.stack.append(set()),
    0x90: lambda m: m.add(m.to_mark()),
    # The memo.
    ord("q"): lambda m: m.put(_UINT8),
    ord("r"): lambda m: m.put(_UINT32),
    0x94: _Machine.memoize,
    ord("h"): lambda m: m.get(_UINT8),
    ord("j"): lambda m: m.get(_UINT32),
    # Names, objects and calls.
    ord("c"): _Machine.global_line,
    0x93: _Machine.global_stack,
    0x81: _Machine.new_object,
    ord("R"): _Machine.call,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.storage,
}


_ANSWERS: dict[str, Callable[[_Machine, tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _Machine.call_ordered_dict,
    "__builtin__.set": _Machine.call_set,
    "builtins.set": _Machine.call_set,
    "__builtin__.getattr": _Machine.call_getattr,
    "builtins.getattr": _Machine.call_getattr,
    "torch.Size": _Machine.call_size,
    "torch._utils._rebuild_tensor_v2": _Machine.call_tensor,
    "torch._utils._rebuild_parameter": _Machine.call_parameter,
}
