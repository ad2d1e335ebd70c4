"""Figures: error against lessons, conductances as maps; SVG that takes on a page's colours, PNG for everything else.

Colours are Okabe and Ito's (Color Universal Design, 2008), told apart by colour-blind eyes; each series also has its
own dashes and marker. In the SVG every colour is a CSS variable with that colour as its fallback: a page can go dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from agents.checkpoint import write_whole

INK, SOFT, GRID = "#24292f", "#57606b", "#d9dde3"


class Style(NamedTuple):
    """How one series is drawn."""

    colour: str
    dashes: str
    marker: str
    width: float


STYLES = {
    "chip": Style("#d55e00", "-", "o", 2.4),
    "software": Style("#0072b2", "--", "s", 1.6),
    "random": Style("#e69f00", "-.", "D", 1.4),
    "never": Style("#8a9099", ":", "v", 1.6),
    "nominal": Style("#cc79a7", "-", "^", 1.4),
    "integral": Style("#009e73", "-.", "P", 1.4),
    "oracle": Style("#24292e", ":", "x", 1.6),
}
VARIABLES = {INK: "ink", SOFT: "soft", GRID: "grid", **{each.colour: f"series-{key}" for key, each in STYLES.items()}}
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "phasearm",  # equal figures give equal files
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titlepad": 9.0,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Series:
    """One line of an adaptation curve."""

    name: str
    """What it is called in the figure."""
    style: str
    """Key into STYLES."""
    mean: Sequence[float]
    """Error after 0, 1, ... lessons, rad."""
    ci95: Sequence[Sequence[float]] | None = None
    """Lower and upper end of its 95 % interval, one pair per entry of mean; None: not drawn."""

    def __post_init__(self) -> None:
        """Check that the style exists and the interval is as long as the line."""
        if self.style not in STYLES:
            raise ValueError(f"unknown style {self.style!r} of series {self.name!r}; choose from {sorted(STYLES)}")
        if self.ci95 is not None and np.shape(self.ci95) != (len(self.mean), 2):
            raise ValueError(f"ci95 of {self.name!r} has shape {np.shape(self.ci95)}; needs ({len(self.mean)}, 2)")


def adaptation_curve(series: Sequence[Series], *, log: bool = False) -> str:
    """Return an SVG of errors against lessons, each line named at its end.

    Args:
        series: The lines.
        log: Whether the error's axis is logarithmic; else it begins at 0.
    """
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.6, 4.3))
        axes = figure.add_axes((0.075, 0.125, 0.65, 0.85))
        _lines(axes, series, log=log)
        _name_ends(axes, series)
        axes.set_ylabel("error of an episode [rad]")
        return _svg(figure, "curve", "Error of an episode in rad after 0, 1, ... lessons: " + _summary(series))


def conductance_maps(before: Any, after: Any, outputs: Sequence[str] | None = None) -> str:
    """Return an SVG of two maps with one colour scale, before over after.

    Args:
        before: Differential conductance of each weight (outputs, features), microsiemens.
        after: The same after the lessons.
        outputs: Names of the outputs; default: their numbers.
    """
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if before.ndim != 2 or before.shape != after.shape:
        raise ValueError(f"maps of shapes {before.shape} and {after.shape}; need two alike, (outputs, features)")
    names = [*(outputs or (str(number + 1) for number in range(len(before))))]
    if len(names) != len(before):
        raise ValueError(f"{len(names)} names {names} for {len(before)} outputs; need one each")
    limit = float(max(np.abs(before).max(), np.abs(after).max())) or 1.0
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.6, 1.9 + 0.32 * min(len(before), 12)))
        top, bottom = figure.subplots(2, 1, sharex=True)
        figure.subplots_adjust(left=0.09, right=0.88, top=0.91, bottom=0.17, hspace=0.42)
        shown = None
        for axes, values, title in ((top, before, "before any lesson"), (bottom, after, "after the last lesson")):
            shown = _map(axes, values, names, limit)
            axes.set_title(title)
        bottom.set_xlabel("feature")
        if outputs is None:
            figure.supylabel("output", x=0.012, fontsize=10.5, color=INK)
        bar = figure.colorbar(shown, cax=figure.add_axes((0.905, 0.17, 0.016, 0.74)))  # type: ignore[arg-type]
        bar.set_label("differential conductance [µS]")
        bar.outline.set_visible(False)  # type: ignore[operator]
        size = f"{before.shape[0]} outputs by {before.shape[1]} features"
        change = f"mean change {np.abs(after - before).mean():.3g} microsiemens"
        return _svg(figure, "maps", f"Conductances of the head, {size}, within {limit:.3g} microsiemens of 0; {change}")


def evaluation_figure(metrics: dict[str, Any], folder: Path, stem: str = "evaluation") -> list[Path]:
    """Draw one panel per band from the metrics of `evaluate dynamics`; return the paths of the PNG and the SVG.

    Args:
        metrics: Content of metrics.json.
        folder: Where the figures go.
        stem: Their name without the ending.
    """
    bands = list(metrics["bands"])
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(0.9 + 3.9 * len(bands), 4.6), layout="constrained")
        panels = figure.subplots(1, len(bands), sharey=True, squeeze=False)[0]
        for axes, band in zip(panels, bands, strict=True):
            _lines(axes, band_series(metrics, band))
            axes.set_title(band.replace("_", " "))
        panels[0].set_ylabel("error of an episode [rad]")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, 2 + 2 * (len(bands) > 1)))
        what = f"{metrics['env']} on {metrics['memory']}:\nmean and 95 % interval, {metrics['chips']} chips"
        figure.suptitle(what, x=0.01, ha="left", fontsize=11)
        picture = io.BytesIO()
        FigureCanvasAgg(figure).print_png(picture)
        drawn = _svg(figure, stem, what, themed=False)
    paths = [Path(folder) / f"{stem}.png", Path(folder) / f"{stem}.svg"]
    write_whole(paths[0], picture.getvalue())
    write_whole(paths[1], drawn.encode())
    return paths


def band_series(metrics: dict[str, Any], band: str) -> list[Series]:
    """Return the lines of one band of metrics.json, the policy on the chip first."""
    chip = metrics["bands"][band]
    found = [Series(f"policy on {metrics['memory']}", "chip", chip["rmse_rad"], chip.get("rmse_rad_ci95"))]
    for key, style, name in (("software", "software", "in software"), ("random_features", "random", "random features")):
        part = metrics.get(key, {}).get("bands", {}).get(band)
        if part:
            found.append(Series(name, style, part["rmse_rad"], part.get("rmse_rad_ci95")))
    rows = (("never_written", "never", "never written"), ("nominal", "nominal", "nominal controller"),
            ("pi", "integral", "best integral"), ("oracle", "oracle", "oracle"))  # fmt: skip
    return found + [Series(name, style, chip[f"{key}_rmse_rad"]) for key, style, name in rows]


def _lines(axes: Axes, series: Sequence[Series], *, log: bool = False) -> None:
    """Draw every series and its interval; the first comes to lie on top."""
    for number, each in enumerate(series):
        style, lessons, order = STYLES[each.style], np.arange(len(each.mean)), 3.0 + len(series) - number
        if each.ci95 is not None:
            low, high = np.asarray(each.ci95, dtype=float).T
            axes.fill_between(lessons, low, high, color=style.colour, alpha=0.18, linewidth=0, zorder=order - 0.5)
        axes.plot(
            lessons, each.mean, style.dashes, color=style.colour, marker=style.marker, markersize=5,
            linewidth=style.width, label=each.name, zorder=order,
        )  # fmt: skip
    axes.set_xlabel("lessons (writes to the chip)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0.0)


def _name_ends(axes: Axes, series: Sequence[Series]) -> None:
    """Write each name beside the end of its line, moved apart where they would touch."""
    axes.figure.canvas.draw()  # fixes the limits of the axes
    ends = np.array([axes.transData.transform((0, each.mean[-1]))[1] for each in series])
    low, high = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    places = spread(ends, axes.figure.dpi * 0.19, low, high)
    for each, place in zip(series, places, strict=True):
        axes.annotate(
            f"{each.name}  {each.mean[-1]:.3f}", (1.025, (place - low) / (high - low)), xycoords="axes fraction",
            color=STYLES[each.style].colour, va="center", fontweight="bold" if each.style == "chip" else "normal",
        )  # fmt: skip


def spread(wanted: Any, gap: float, low: float, high: float) -> Any:
    """Return places near the wanted ones, in the same order, at least `gap` apart and, if there is room, in range."""
    order = np.argsort(wanted, kind="stable")
    ranks = gap * np.arange(len(order))
    # Apart by `gap` means: places less their ranks' share do not fall. Pool neighbours that do (isotonic regression).
    pools: list[list[float]] = []
    for value in np.asarray(wanted, dtype=float)[order] - ranks:
        pools.append([value, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, count), (last, more) = pools[-2], pools[-1]
            pools[-2:] = [[(mean * count + last * more) / (count + more), count + more]]
    flat = np.concatenate([np.full(int(count), mean) for mean, count in pools])
    flat = np.maximum(np.minimum(flat, high - ranks[-1]), low)
    places = np.empty(len(order))
    places[order] = flat + ranks
    return places


def _map(axes: Axes, values: Any, names: Sequence[str], limit: float) -> Any:
    shown = axes.pcolormesh(
        values, cmap="RdBu_r", norm=Normalize(-limit, limit), edgecolors="face", linewidth=0.8
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set_yticks(np.arange(len(values)) + 0.5, names)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return shown


def _summary(series: Sequence[Series]) -> str:
    return "; ".join(f"{each.name} from {each.mean[0]:.3f} to {each.mean[-1]:.3f}" for each in series)


def _svg(figure: Figure, name: str, description: str, *, themed: bool = True) -> str:
    """Return a figure as an SVG element, described for those who do not see it.

    Themed, it has no fixed size and takes on the colours of the page; its name keeps its ids apart from other figures'.
    """
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=themed, metadata={"Date": None})
    text = out.getvalue()[out.getvalue().index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"'DejaVu Sans'[^\";]*", FONTS, text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{name}-", text)
    if not themed:
        return text
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    head = f'<svg role="img" aria-label="{_escaped(description)}" '
    return head + re.sub(r' (?:width|height)="[\d.]+pt"', "", text[len("<svg ") :], count=2)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
