"""Writes docs/command-line.md: what `--help` of every command says.

    python -m tools.write_help

The wording of argparse differs a little among versions of Python; the page is written with 3.11.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from fastsam_onnx.cli.program import COMMANDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "command-line.md"
OPENING = """\
# Command line

<!-- Written by tools/write_help.py: change the help texts, not this page. -->

```sh
fastsam-onnx segment photo.jpg                           # photo.overlay.png and photo.json beside the photo
fastsam-onnx segment photos/ --output out --format coco  # a folder; what exists is skipped
fastsam-onnx segment photo.jpg --point 620,360 --background 700,90 --soft -o dog.cutout.png
cat photo.jpg | fastsam-onnx segment - --format json > photo.json
```
"""


def page() -> str:
    """The page as it should be."""
    parts = [OPENING, _block("fastsam-onnx", [])]
    names = [command.__name__.rpartition(".")[2] for command in COMMANDS]
    parts += [_block(f"fastsam-onnx {name}", [name]) for name in names]
    return "\n".join(parts)


def _block(title: str, arguments: list[str]) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "fastsam_onnx", *arguments, "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    PAGE.write_text(page(), "utf-8")
