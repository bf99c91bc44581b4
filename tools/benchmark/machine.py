"""What the figures were measured on, and whether it was idle."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

IDLE_SHARE, MOMENT = 0.9, 0.05
FEATURES = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "asimddp",
    "i8mm",
)
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless")


def describe() -> dict[str, Any]:
    """Processor, memory, system, versions."""
    info = _key_values(Path("/proc/cpuinfo"))
    flags = info.get("flags", info.get("Features", "")).split()
    total = _key_values(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0]
    return {
        "processor": info.get("model name", platform.processor() or "unknown"),
        "family_model": f"{info.get('cpu family', '?')}/{info.get('model', '?')}",
        "features": [feature for feature in FEATURES if feature in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(int(total) / 1024**2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def wait_until_idle(seconds: float) -> bool:
    """Wait for a moment in which hardly anything else runs; False if there was none in time."""
    end = time.monotonic() + seconds
    while True:
        if _idle_share() >= IDLE_SHARE:
            return True
        if time.monotonic() >= end:
            return False


def _idle_share() -> float:
    before = _cpu_ticks()
    time.sleep(MOMENT)
    idle, total = (after - earlier for after, earlier in zip(_cpu_ticks(), before, strict=True))
    return idle / max(total, 1)


def _cpu_ticks() -> tuple[int, int]:
    """(idle, all) ticks of all cores since the start."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _key_values(path: Path) -> dict[str, str]:
    """The first value of every key of a file of lines "key: value"; nothing outside Linux."""
    if not path.exists():
        return {}
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {key.strip(): value.strip() for key, _, value in reversed(list(pairs))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
