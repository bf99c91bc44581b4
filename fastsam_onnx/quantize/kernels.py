"""Which weights this processor's integer kernels take without overflow."""

from __future__ import annotations

import platform
from pathlib import Path

from fastsam_onnx.errors import OptionError
from fastsam_onnx.options import shown

VNNI_FLAGS = ("avx512_vnni", "avx_vnni")
"""Names that Linux has for the instructions that add products of bytes in 32 bits."""


def weight_bits_for(asked: int | None) -> int:
    """7 bits for processors that add two products of 8 bits in 16, and so overflow: x86 without VNNI. Else 8.

    Args:
        asked: 7 or 8, instead of what this processor needs.

    Raises:
        OptionError: If something else is asked for.
    """
    if asked is not None and (isinstance(asked, bool) or asked not in (7, 8)):
        raise OptionError(f"weight_bits must be 7 or 8, got {shown(asked)}")
    return int(asked) if asked else 8 if adds_in_32_bits(platform.machine(), Path("/proc/cpuinfo")) else 7


def adds_in_32_bits(machine: str, cpuinfo: Path) -> bool:
    """True if this processor is an ARM, or an x86 that says it has VNNI; only Linux tells."""
    if machine.lower() in ("arm64", "aarch64"):
        return True
    try:
        words = set(cpuinfo.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    return not words.isdisjoint(VNNI_FLAGS)
