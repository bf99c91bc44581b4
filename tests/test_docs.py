"""The Python of README and docs runs as it stands, in a folder that holds `examples/`; local links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from test_directions import FLOORS

import fastsam_onnx
from fastsam_onnx.cli import program
from fastsam_onnx.serve import conversion, request

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
ALL_PAGES = sorted(
    page for folder in ("docs", "examples", "tools", "weights") for page in (ROOT / folder).rglob("*.md")
)
ALL_PAGES += sorted(ROOT.glob("*.md"))
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="docs/ is not in the source distribution")


def blocks(page):
    return [code for skipped, code in BLOCK.findall(page.read_text("utf-8")) if not skipped]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run_in_their_order(page, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("serverless", "*.py"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, code in enumerate(blocks(page)):
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_program_takes_the_commands_of_a_page(page):
    lines = "\n".join(SHELL.findall(page.read_text("utf-8"))).splitlines()
    commands = [re.split(r" [<>] ?", part)[0].strip() for line in lines for part in re.split(r" \|(?: |$)", line)]
    parser, _ = program._parser()
    for command in commands:
        if re.match(r"(\S*bin/)?fastsam-onnx ", command):
            parser.parse_args(shlex.split(command, comments=True)[1:])


def test_the_readme_has_a_block_to_paste():
    assert blocks(ROOT / "README.md")


def anchors(page):
    """What links may name in a page: its headings in small letters, without marks, words joined."""
    headings = HEADING.findall(page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_local_links_and_pictures_are_there(page):
    targets = [target for target in LINK.findall(page.read_text("utf-8")) if "://" not in target[0]]
    missing = [path for path, _ in targets if not (page.parent / path).exists()]
    named = [(page.parent / path if path else page, anchor) for path, anchor in targets if anchor]
    assert missing + [f"{other.name}#{anchor}" for other, anchor in named if anchor not in anchors(other)] == []


def test_the_reference_has_every_public_name():
    page = set(re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text("utf-8"), re.MULTILINE))
    errors = set(vars(fastsam_onnx.errors))
    public = [name for name in fastsam_onnx.__all__ if name not in errors and name != "__version__"]
    assert [name for name in public if f"fastsam_onnx.{name}" not in page] == []


def test_the_reference_has_what_is_inherited_and_the_call():
    """`Segmentation.save` is a method of a base, and `FastSAM.__call__` begins with an underscore."""
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "inherited_members: true" in settings
    assert '"^__call__$"' in settings


def test_the_page_of_the_server_names_every_parameter_and_prompt():
    names = [*request.PARAMETERS, *conversion.PARAMETERS, *(field.name for field in fields(fastsam_onnx.Prompts))]
    page = (ROOT / "docs" / "server.md").read_text("utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_contributors_are_told_of_every_room_and_tool():
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = {path.name for path in (ROOT / "fastsam_onnx").iterdir() if not path.name.startswith(("_", "py.typed"))}
    told = set(re.findall(r"^[├└]─ ([\w.]+)", page, re.MULTILINE))
    assert rooms - told == set()
    tools = {path.name for path in (ROOT / "tools").glob("*.py")}
    assert {name for name in tools if name not in page} == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_line_of_imports_is_the_one_that_is_held(page):
    def words(text):
        return " ".join(text.split())

    assert words(FLOORS) in words((ROOT / page).read_text("utf-8"))
