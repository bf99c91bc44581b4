"""The number of cores that this process may use."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def default_threads() -> int:
    """Cores that this process may use: by affinity and by the quota of its cgroup (rounded up), at least one."""
    from pathlib import Path

    return usable_cores(_affinity(), cgroup_quota(Path("/")))


def usable_cores(cores: int, quota: float | None) -> int:
    """The smaller of `cores` and `quota` (in cores, None for no limit) rounded up, at least one."""
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def cgroup_quota(root: Path) -> float | None:
    """The CPU time that this process's control groups allow, in cores; None without a limit or outside Linux.

    Version 2 says it in `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`. A parent's limit counts
    too, so the smallest on the way up does.

    Args:
        root: The root of the file system.
    """
    groups = root / "sys" / "fs" / "cgroup"
    quotas = []
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [groups] if not controllers else [groups / controllers, groups / "cpu"]
        steps = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            for depth in range(len(steps) + 1):
                quotas.append(_quota_of(mount.joinpath(*steps[:depth])))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(group: Path) -> float | None:
    """The limit that one group's own files state, in cores."""
    words = _read(group / "cpu.max").split()
    if not words:
        words = [*_read(group / "cpu.cfs_quota_us").split(), *_read(group / "cpu.cfs_period_us").split()]
    try:
        quota, period = (float(word) for word in words)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
