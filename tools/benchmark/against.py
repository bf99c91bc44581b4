"""A report beside an earlier one: which ratios fell.

Milliseconds differ from machine to machine and from hour to hour; ratios of what was measured in the same rounds stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALLOWED = 0.1
"""Share by which a ratio may fall before it counts."""


def ratios(report: Mapping[str, Any]) -> dict[str, float]:
    """Every ratio of a report by its name; larger is better."""
    return {
        f"{table['title']}: {name}": value
        for section in report["sections"].values()
        for table in section["tables"]
        for name, value in table.get("ratios", {}).items()
    }


def compare(before: Mapping[str, Any], now: Mapping[str, Any], allowed: float = ALLOWED) -> tuple[list[str], list[str]]:
    """Lines that say how the ratios of two reports compare, and the names of those that fell by more than `allowed`.

    Raises:
        ValueError: If the reports have no ratio in common, so that nothing was compared.
    """
    old, new = ratios(before), ratios(now)
    common = [name for name in old if name in new]
    if not common:
        raise ValueError(f"the reports have no ratio in common: {len(old)} before, {len(new)} now")
    fallen = [name for name in common if new[name] < (1 - allowed) * old[name]]
    lines = [
        f"{old[name]:8.2f} -> {new[name]:8.2f}  {100 * (new[name] / old[name] - 1):+6.1f} %  {name}"
        + ("  FELL" if name in fallen else "")
        for name in common
    ]
    missing = [name for name in old if name not in new]
    return [*lines, *(f"{old[name]:8.2f} -> not measured      {name}" for name in missing)], fallen
