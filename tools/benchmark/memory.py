"""This process's memory, in MB of 1024 * 1024 bytes (Linux)."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident() -> float:
    """What is in memory now."""
    return _field("VmRSS")


def peak() -> float:
    """The most since the start or `clear_peak`."""
    return _field("VmHWM")


def give_back() -> None:
    """Return what is free to the system, or it would hide what comes next (glibc; elsewhere less is returned)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def clear_peak() -> None:
    CLEAR_REFS.write_text("5")


def _field(name: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"{STATUS} says nothing of {name}")
