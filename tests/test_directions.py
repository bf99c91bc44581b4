"""Imports point in one direction: a photo's way through the rooms, and never back; files and functions stay short.

`python tests/test_directions.py` prints the rooms, the arrows between them, and those that point the wrong way.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fastsam_onnx"
TOOLS = ROOT / "tools"  # not in the source distribution
FLOORS = """
    cli > serve > quantize > model > stages, ahead, tracking > stream, tiling, labels > results > formats > draw
    > lettering, matting > masks > network > clip, checkpoints > images, runtime > weights > files, options > elsewhere
    > arrays, blas, errors, log
"""
FLOOR = {room.strip(): floor for floor, rooms in enumerate(FLOORS.split(">")) for room in rooms.split(",")}


def imports() -> list[tuple[str, str, str]]:
    """(room, other room, import as written) of every import between two rooms, those for type checkers included."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastsam_onnx":
                written = [f"{node.module}.{alias.name}".split(".") for alias in node.names]
            elif isinstance(node, ast.Import):
                written = [alias.name.split(".") for alias in node.names if alias.name.startswith("fastsam_onnx.")]
            else:
                continue
            found += [(room, each[1], ".".join(each)) for each in written if each[1] in FLOOR and each[1] != room]
    return [each for each in found if each[0] in FLOOR]  # __init__ and __main__ stand outside


def upward() -> list[str]:
    """The imports of a room from one that stands before it, or beside it on its floor."""
    return sorted(f"{room}: {written}" for room, other, written in imports() if FLOOR[other] <= FLOOR[room])


def test_every_room_has_its_floor():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__", "__main__"} == set(FLOOR)


def test_no_import_points_upward():
    """So that there are no circles, either."""
    assert upward() == []


def test_no_private_name_crosses_a_room():
    assert [each for each in imports() if any(part.startswith("_") for part in each[2].split("."))] == []


def held_short() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *TOOLS.rglob("*.py")]


def test_no_file_is_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in held_short()}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_no_function_is_long():
    """Lines of its body, without those of its docstring and empty ones."""
    found = {}
    for path in held_short():
        lines = path.read_text("utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[ast.get_docstring(node) is not None :] or node.body
                code = [line for line in lines[body[0].lineno - 1 : node.end_lineno] if line.strip()]
                found[f"{path.relative_to(ROOT)}: {node.name}"] = len(code)
    assert {name: length for name, length in found.items() if length > 50} == {}


if __name__ == "__main__":
    arrows = {(room, other) for room, other, _ in imports()}
    print(f"{len(FLOOR)} rooms, {len(arrows)} arrows, {len(upward())} imports upward:")
    print("\n".join(upward()))
