"""The manifest beside a network's file: what the file is and where it came from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fastsam_onnx.files import write_file


def note(path: Path, data: bytes, **about: object) -> None:
    """Brings a manifest up to date with the file's new bytes, and with what else is known about them."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **about}
    write_file(path, [(json.dumps(manifest, indent=2) + "\n").encode()])
