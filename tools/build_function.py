"""Make the zip of the serverless function and print its size by package.

    python -m tools.build_function function.zip
    python -m tools.build_function function.zip --prove          # the smoke tests, on what is in the zip
    python -m tools.build_function function.zip --python 3.13 --platform manylinux_2_28_aarch64

The zip holds examples/serverless/handler.py, this package with the bundled model, and the packages that it runs on,
less what `LEFT_OUT` lists. AWS Lambda takes 250 MiB unzipped; more is an error here. Without --python and --platform
it is made for the Python that runs this: then a first request is answered, and the sources that this loads are compiled
beforehand, because a function cannot keep what it compiles at its start.

--prove unzips it into an empty folder and runs `SMOKE`, a part of the test suite, with a Python that has nothing but
that folder and the test tools.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HANDLER = ROOT / "examples" / "serverless" / "handler.py"
PHOTO = ROOT / "examples" / "coffee.jpg"
LIMIT = 250 * 2**20
MIB = 2**20

WITHOUT = ("tokenizers",)
"""For texts, which need CLIP: its weights do not fit beside the rest in 250 MiB."""
WITH_DEPENDENCIES = ("pooch",)
"""Packages that come with what they ask for; onnxruntime asks for flatbuffers, protobuf and packaging, which its tools
use and its runtime does not."""


@dataclass(frozen=True)
class Rule:
    """Files that are left out.

    Attributes:
        patterns: Of their paths in the zip, as `Path.glob` reads them; a folder goes whole.
        why: For whoever reads the list.
    """

    patterns: tuple[str, ...]
    why: str


LEFT_OUT = (
    Rule(("onnxruntime/capi/libonnxruntime.so*",), "for programs in C; Python's module carries its own copy"),
    Rule(
        tuple(f"onnxruntime/{name}" for name in ("transformers", "quantization", "tools", "datasets", "backend")),
        "tools that change models; running one needs none of them",
    ),
    Rule(("**/tests", "numpy/conftest.py", "numpy/_core/_simd.*", "numpy/_core/*_tests.*"), "tests of the packages"),
    Rule(("numpy/f2py", "numpy/distutils", "numpy/_pyinstaller"), "build tools"),
    Rule(
        ("numpy/_core/include", "**/*.a", "**/*.h", "**/*.pxd", "**/*.pyx", "**/*.pyi"),
        "for compilers and type checkers",
    ),
    Rule(("bin", "*.dist-info/sboms"), "command-line programs and bills of material"),
    Rule(("fastsam_onnx/bundled/fastsam-small.*",), "the function opens fastsam-nano, which is faster"),
    Rule(("**/__pycache__",), "compiled sources; those that a request loads are compiled again"),
)
"""Everything else stays, licences and OpenCV's video libraries included: cv2 does not load without them. Symbol tables
stay too: binutils' `strip` breaks libraries that wheels have rewritten."""

FIRST_REQUEST = """
import json, sys
import handler
event = {"body": sys.stdin.read(), "isBase64Encoded": True, "headers": {"content-type": "image/jpeg"}}
assert handler.handler(event)["statusCode"] == 200
print(json.dumps([module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]))
"""

SMOKE = (
    "examples/test_handler.py",
    "images/test_load.py",
    "network/test_letterbox.py",
    "masks/test_detections.py",
    "masks/test_pending.py",
    "masks/test_mask.py",
    "masks/test_outline.py",
    "results/test_rules.py",
    "results/test_segmentation.py",
    "formats/test_registry.py",
    "formats/test_native.py",
    "formats/test_golden.py",
    "test_draw.py",
)
"""Every stage that the function uses; tests that build networks need the package onnx and are not among them."""
TEST_TOOLS = ("pytest", "pytest-randomly", "hypothesis", "pillow")


@dataclass(frozen=True)
class Target:
    """The Python that the zip is for; None for the one that runs this.

    Attributes:
        python: "3.13".
        platform: A wheel tag, "manylinux_2_28_aarch64".
    """

    python: str | None
    platform: str | None

    @property
    def options(self) -> list[str]:
        """As pip takes them."""
        options = ["--only-binary=:all:"]
        options += ["--python-version", self.python] if self.python else []
        return options + (["--platform", self.platform] if self.platform else [])

    @property
    def is_ours(self) -> bool:
        return self.python is None and self.platform is None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", type=Path, help="the file to make; replaced if it exists")
    parser.add_argument("--python", metavar="X.Y", help="the function's Python, if it is not this one")
    parser.add_argument("--platform", metavar="TAG", help="the function's platform, if it is not this one")
    parser.add_argument("--prove", action="store_true", help="run the smoke tests on what is in the zip")
    options = parser.parse_args(arguments)
    target = Target(options.python, options.platform)
    if options.prove and not target.is_ours:
        parser.error("--prove runs what was made, so it goes with this Python alone")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        install(tree, target)
        removed = leave_out(tree)
        if target.is_ours:
            compile_sources(tree)
        write_zip(options.zip, tree)
        sizes = size_by_package(tree)
    print(report(options.zip, sizes, removed))
    if sizes.total() > LIMIT:
        print(f"error: {sizes.total()} bytes unzipped are more than {LIMIT}", file=sys.stderr)
        return 1
    return prove(options.zip) if options.prove else 0


def install(tree: Path, target: Target) -> None:
    """The package, what it runs on, and the handler."""
    with tempfile.TemporaryDirectory() as folder:
        pip("wheel", "--no-deps", "--wheel-dir", folder, str(ROOT))
        [wheel] = Path(folder).glob("*.whl")
        pip("install", "--target", str(tree), "--no-deps", str(wheel))
    whole, alone = requirements()
    pip("install", "--target", str(tree), "--upgrade", "--no-deps", *target.options, *alone)
    pip("install", "--target", str(tree), "--upgrade", *target.options, *whole)
    shutil.copy(HANDLER, tree)


def requirements() -> tuple[list[str], list[str]]:
    """Those of pyproject.toml but for `WITHOUT`: with their own requirements, and without."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [each for each in project["dependencies"] if not each.startswith(WITHOUT)]
    whole = [each for each in needed if each.startswith(WITH_DEPENDENCIES)]
    return whole, [each for each in needed if each not in whole]


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def leave_out(tree: Path) -> list[tuple[Rule, int]]:
    """Remove what the rules name; each rule with the bytes that went."""
    removed = []
    for rule in LEFT_OUT:
        size = 0
        for path in sorted({path for pattern in rule.patterns for path in tree.glob(pattern)}):
            size += sum(file.stat().st_size for file in files_of(path))
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        removed.append((rule, size))
    return removed


def compile_sources(tree: Path) -> None:
    """Compile what the first request loads, to be taken without a look at the source's time, which a zip changes."""
    photo = base64.b64encode(PHOTO.read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-c", FIRST_REQUEST]
    done = subprocess.run(command, input=photo, env=environment, check=True, stdout=subprocess.PIPE)
    for path in sorted(Path(each) for each in json.loads(done.stdout)):
        if path.suffix == ".py" and path.is_relative_to(tree):
            name = str(path.relative_to(tree))
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(path), dfile=name, doraise=True, invalidation_mode=mode)


def write_zip(target: Path, tree: Path) -> None:
    """The same bytes for the same tree: sorted, without times."""
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(files_of(tree)):
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100755 << 16 if path.suffix == ".so" else 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    part.replace(target)


def size_by_package(tree: Path) -> Counter[str]:
    """Bytes by distribution, by the lists of files that pip wrote; compiled sources count with their folder."""
    owner = {}
    for record in tree.glob("*.dist-info/RECORD"):
        name = record.parent.name.split("-")[0].replace("_", "-")
        with record.open(newline="", encoding="utf-8") as file:
            owner.update({Path(row[0]).parts[0]: name for row in csv.reader(file)})
    sizes: Counter[str] = Counter()
    for path in files_of(tree):
        top = path.relative_to(tree).parts[0]
        sizes[owner.get(top, top)] += path.stat().st_size
    return sizes


def files_of(path: Path) -> Iterator[Path]:
    """The files at and below a path."""
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file())
    elif path.exists():
        yield path


def report(path: Path, sizes: Counter[str], removed: Sequence[tuple[Rule, int]]) -> str:
    lines = ["| package | MiB |", "| --- | ---: |"]
    small = sum(size for size in sizes.values() if size < MIB / 2)
    lines += [f"| {name} | {size / MIB:.1f} |" for name, size in sizes.most_common() if size >= MIB / 2]
    lines += [f"| {sum(size < MIB / 2 for size in sizes.values())} more | {small / MIB:.1f} |"]
    lines += [f"| all, unzipped (at most {LIMIT / MIB:.0f}) | {sizes.total() / MIB:.1f} |"]
    lines += [f"| {path.name} | {path.stat().st_size / MIB:.1f} |", ""]
    lines += ["| left out | MiB | why |", "| --- | ---: | --- |"]
    lines += [f"| {', '.join(rule.patterns)} | {size / MIB:.1f} | {rule.why} |" for rule, size in removed]
    return "\n".join(lines)


def prove(archive: Path) -> int:
    """Run the smoke tests on the unzipped archive; pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        tree, checkout, tools = (Path(folder, name) for name in ("tree", "checkout", "tools"))
        zipfile.ZipFile(archive).extractall(tree)
        venv.create(tools, with_pip=True)
        python = tools / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        subprocess.run([python, "-m", "pip", "--quiet", "install", *TEST_TOOLS], check=True)
        for name in ("tests", "examples"):
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", checkout)  # pytest's settings
        tests = [str(Path("tests", name)) for name in SMOKE]
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(python), "-m", "pytest", "-q", *tests]
        return subprocess.run(command, cwd=checkout, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
