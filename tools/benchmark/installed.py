"""Bytes on disk of packages and all that they need, as JSON: python -m tools.benchmark.installed NAME [NAME ...]."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9._-]+")


def closure(names: list[str]) -> dict[str, Distribution]:
    """The packages and what they require without extras; what is not installed is left out."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for requirement in found[name].requires or ():
            match = NAME.match(requirement)
            if match and "extra ==" not in requirement:
                waiting.append(match.group())
    return found


def size(package: Distribution) -> int:
    """Bytes of its files, without byte code."""
    paths = [Path(str(package.locate_file(file))) for file in package.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: size(package) for name, package in closure(sys.argv[1:]).items()}))
