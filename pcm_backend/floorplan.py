"""Which rows and output lines of which core belong to which layer.

Layers are cut into parts that fit a core: rows as the read path cuts them (each core converts its own sum), output
lines in runs of 256. The parts are then put on cores, the tallest first: each beside what lies on the first core that
has free lines, else below a part that leaves the rows, else on a new core. The parts of one layer lie on different
cores, as the bill has it: they are read at the same time. So the network of Ortner, Petschenig et al. (Nature
Communications 2025) comes out as they laid it: three kernels of 504 rows and 56 filters in halves of 252 on two cores,
the small kernel and the readout beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .chip import CORE, row_blocks
from .crossbar import Crossbar
from .deploy import Deployed


class Placement(NamedTuple):
    """A part of a layer on a core; `stop` is the first that is no longer part of it."""

    layer: str
    """Name of the layer."""
    core: int
    """Number of the core."""
    row_start: int
    """First row on the core."""
    row_stop: int
    """Row after the last."""
    line_start: int
    """First output line on the core."""
    line_stop: int
    """Output line after the last."""
    layer_row: int
    """Row of the layer that lies on `row_start`."""
    layer_line: int
    """Output line of the layer that lies on `line_start`; second slices follow after all first ones."""

    @property
    def cells(self) -> int:
        """Cells that the part takes."""
        return (self.row_stop - self.row_start) * (self.line_stop - self.line_start)

    def overlaps(self, other: Placement) -> bool:
        """Return whether both take the same cell of the same core."""
        apart = self.row_stop <= other.row_start or other.row_stop <= self.row_start
        apart |= self.line_stop <= other.line_start or other.line_stop <= self.line_start
        return self.core == other.core and not apart


@dataclass(frozen=True)
class FloorPlan:
    """Where every part of every layer lies on one chip."""

    placements: tuple[Placement, ...]
    """In the order of layers, and of their parts."""

    @property
    def n_cores(self) -> int:
        """Cores in use."""
        return 1 + max(each.core for each in self.placements)

    @property
    def cells(self) -> int:
        """Cells in use."""
        return sum(each.cells for each in self.placements)

    @property
    def share(self) -> float:
        """Cells in use over those of the cores in use."""
        return self.cells / (self.n_cores * CORE * CORE)

    def lines_used(self, core: int) -> int:
        """Return how many output lines of a core carry a weight."""
        used = {n for each in self.placements if each.core == core for n in range(each.line_start, each.line_stop)}
        return len(used)

    def __str__(self) -> str:
        """Return a table: a line for each part, and the sums."""
        width = max(len("layer"), *(len(each.layer) for each in self.placements))
        header = f"{'layer':<{width}}  core        rows       lines   rows of layer  lines of layer    cells"
        lines = [header, *(_line(each, width) for each in sorted(self.placements, key=_by_place))]
        for core in range(self.n_cores):
            cells = sum(each.cells for each in self.placements if each.core == core)
            lines.append(f"core {core}: {self.lines_used(core)} of {CORE} lines, {cells / CORE**2:.1%} of its cells")
        return "\n".join([*lines, f"{self.n_cores} cores, {self.cells:,} cells, {self.share:.1%} of them"])


class _Part(NamedTuple):
    n_rows: int
    n_lines: int
    layer: str
    layer_row: int
    layer_line: int


class _Strip:
    """A run of output lines of a core, from its first row on filled by one part below the other."""

    def __init__(self, core: int, start: int, width: int) -> None:
        self.core, self.start, self.width, self.height = core, start, width, 0

    def take(self, part: _Part) -> Placement:
        """Put a part below what lies there already."""
        top, self.height = self.height, self.height + part.n_rows
        place = (top, self.height, self.start, self.start + part.n_lines)
        return Placement(part.layer, self.core, *place, part.layer_row, part.layer_line)


def floor_plan(sizes: Mapping[str, tuple[int, int]] | Deployed) -> FloorPlan:
    """Place layers on cores.

    Args:
        sizes: Rows and output lines of each layer, by name, all slices and repeated rows counted; or a deployed module,
            whose sizes `array_sizes` gives.

    Raises:
        ValueError: There is no layer, or one without rows or lines.
    """
    table = array_sizes(sizes.crossbars) if isinstance(sizes, Deployed) else sizes
    if not table or any(min(size) < 1 for size in table.values()):
        raise ValueError(f"every layer needs rows and lines, got {dict(table)!r}")
    parts = [part for name, size in table.items() for part in _cut(name, *size)]
    strips: list[_Strip] = []
    placed: dict[_Part, Placement] = {}
    for part in sorted(parts, key=lambda each: (-each.n_rows, -each.n_lines)):
        placed[part] = _place(part, strips, {each.core for each in placed.values() if each.layer == part.layer})
    return FloorPlan(tuple(placed[part] for part in parts))


def array_sizes(crossbars: Mapping[str, Crossbar]) -> dict[str, tuple[int, int]]:
    """Return rows and output lines of every crossbar: bias and repeated rows are rows, slices are lines."""
    return {name or "layer": each.array_size for name, each in crossbars.items()}


def _cut(name: str, n_rows: int, n_lines: int) -> list[_Part]:
    return [
        _Part(rows.stop - rows.start, min(CORE, n_lines - line), name, rows.start, line)
        for rows in row_blocks(n_rows)
        for line in range(0, n_lines, CORE)
    ]


def _place(part: _Part, strips: list[_Strip], avoid: set[int]) -> Placement:
    """Put a part beside others, else below one, else on a new core; never on a core that holds its own layer."""
    taken = _lines_taken(strips)
    beside = [core for core, used in taken.items() if used + part.n_lines <= CORE and core not in avoid]
    below = [s for s in strips if s.width >= part.n_lines and s.height + part.n_rows <= CORE and s.core not in avoid]
    if beside or not below:
        core = beside[0] if beside else len(taken)
        strips.append(_Strip(core, taken.get(core, 0), part.n_lines))
        return strips[-1].take(part)
    return min(below, key=lambda strip: strip.width).take(part)


def _lines_taken(strips: list[_Strip]) -> dict[int, int]:
    taken: dict[int, int] = {}
    for strip in strips:
        taken[strip.core] = max(taken.get(strip.core, 0), strip.start + strip.width)
    return taken


def _by_place(each: Placement) -> tuple[int, int, int]:
    return each.core, each.line_start, each.row_start


def _line(each: Placement, width: int) -> str:
    spans = [
        (each.row_start, each.row_stop),
        (each.line_start, each.line_stop),
        (each.layer_row, each.layer_row + each.row_stop - each.row_start),
        (each.layer_line, each.layer_line + each.line_stop - each.line_start),
    ]
    columns = [
        f"{start} to {stop - 1}".rjust(size) for (start, stop), size in zip(spans, (10, 10, 14, 14), strict=True)
    ]
    return "  ".join([each.layer.ljust(width), f"{each.core:>4}", *columns, f"{each.cells:>7,}"])
