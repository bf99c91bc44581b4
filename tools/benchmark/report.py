"""Tables, and the figures in them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MANY = 4
"""Rounds from which their spread is said."""


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        title: Its heading.
        header: Of the columns.
        rows: As many texts as there are columns in each.
        note: A sentence or two below it.
        samples: What was measured, for JSON alone.
        ratios: By name, larger is better: what later reports are compared by.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    samples: Mapping[str, Any] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        return f"### {self.title}\n\n{text}\n" + (f"\n{self.note}\n" if self.note else "")


def number(value: float, digits: int = 1) -> str:
    """A figure as a reader wants it; a dash for one that was not measured."""
    return "-" if value != value else f"{value:.{digits}f}"  # noqa: PLR0124 - NaN


def quotient(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the rounds' quotients."""
    return statistics.median(a / b for a, b in zip(above, below, strict=False))


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """`quotient` as a reader wants it, with the smallest and the largest of the rounds where there are several."""
    quotients = [a / b for a, b in zip(above, below, strict=False)]
    middle = f"{statistics.median(quotients):.1f} x"
    return middle if len(quotients) < MANY else f"{middle} ({min(quotients):.1f} to {max(quotients):.1f})"


def markdown(machine: dict[str, Any], sections: dict[str, dict[str, Any]]) -> str:
    """The report: the machine, then the tables of every section with its command."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    parts = [
        f"{machine['processor']} (family/model {machine['family_model']}), {machine['cores']} cores, "
        f"{', '.join(machine['features'])}; {machine['memory_gb']} GB; {machine['system']}, "
        f"Python {machine['python']}, {packages}.\n"
    ]
    for section in sections.values():
        parts += [Table(**table).markdown() for table in section["tables"]]
        parts.append(f"<sub>{section['about']}</sub>\n")
    return "\n".join(parts)
