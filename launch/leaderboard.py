"""Write the tables of the results page anew: our lines from the tables of results, others' from a list of lines.

python -m launch.leaderboard --tables docs/results/planartrack-v0.csv.gz docs/results/planarreach-v0.csv.gz

Environment steps are those of the budgets beside each table, as in planarreach-v0.budgets.csv.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tyro

from agents.checkpoint import write_whole
from agents.results import Key, Results
from agents.scores import Spread, mean_error, score
from launch import cli
from launch.figure_style import MissingError, look
from launch.figure_view import BANDS, FIXED, View
from launch.figures import env_of, mention_missing_budgets

FIELDS = ("env", "learner", "memory", "env_steps", *BANDS, "from")
HEAD = ("learner", "memory", "environment steps", "meta-trainings x chips x bodies", *BANDS, "score in range", "from")


class Line(NamedTuple):
    """A line of a table."""

    order: float
    """Mean error in range: the best come first."""
    cells: tuple[str, ...]
    """Texts, as in HEAD."""


@dataclass(frozen=True)
class Leaderboard:
    """The tables of a page, between marks such as <!-- planarreach-v0 --> and <!-- end -->."""

    tables: tuple[Path, ...]
    """Tables of `evaluate dynamics --suite`, named for their family of tasks."""
    lines: Path = Path("docs/results/lines.csv")
    """Lines of others: env, learner, memory, env_steps, mean error of the last episode by band, where it is from."""
    page: Path = Path("docs/results.md")
    """The page whose tables are written anew."""


def run(cfg: Leaderboard) -> Path:
    """Write the page; return it."""
    with cli.wrong_input():
        text, others = cfg.page.read_text(), read_lines(cfg.lines)
        for path in cfg.tables:
            env_id = env_of(path)
            mention_missing_budgets(path)
            text = placed(text, short(env_id), table(View.of(Results.read(path), path, env_id), others))
    write_whole(cfg.page, text.encode())
    print(cfg.page)
    return cfg.page


def short(env_id: str) -> str:
    """Return an id's short form, as in planarreach-v0."""
    return env_id.rsplit("/", maxsplit=1)[-1].lower()


def placed(text: str, mark: str, content: str) -> str:
    """Return a page with what lies between a mark and its end replaced.

    Raises:
        ValueError: The page has no such mark.
    """
    pattern = rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, text, re.DOTALL):
        raise ValueError(f"the page has no place for {mark!r}; it has {re.findall(r'<!-- (.*?) -->', text)}")
    return re.sub(pattern, lambda found: f"{found[1]}{content}{found[2]}", text, flags=re.DOTALL)


def read_lines(path: Path) -> list[dict[str, str]]:
    """Return the lines of others.

    Raises:
        ValueError: A column is missing, or an error is neither a number nor empty.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in FIELDS if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{path} has no column {missing[0]!r}; it needs {list(FIELDS)}")
        lines = list(reader)
    for line in lines:
        for band in BANDS:
            if line[band] and not re.fullmatch(r"\d*\.?\d+", line[band]):
                raise ValueError(f"{path}: {band} of {line['learner']!r} must be a number or empty, not {line[band]!r}")
    return lines


def table(view: View, others: list[dict[str, str]]) -> str:
    """Return a family's table, best in range first; errors are those of the last episode."""
    keys = {key._replace(band="in_range") for key in view.results.keys if key.band in BANDS and " " not in key.memory}
    lines = [_ours(view, key) for key in sorted(keys)]
    lines += [_theirs(line) for line in others if short(line["env"]) == short(view.env)]
    lines = sorted(lines, key=lambda line: line.order)
    rows = [HEAD, ("---",) * len(HEAD), *(line.cells for line in lines)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _ours(view: View, key: Key) -> Line:
    errors = [_error(view, key._replace(band=band)) for band in BANDS]
    trained = "none" if key.learner in FIXED else view.steps.get(key.learner, "")
    texts = ["" if error is None else _interval(error) for error in errors]
    order = float("inf") if errors[0] is None else float(errors[0].value[-1])
    runs = " x ".join(str(n) for n in view.results.block(key).error.shape[:3]) if errors[0] else ""
    return Line(
        order, (look(key.learner).name, key.memory, trained, runs, *texts, _score(view, key), "this repository")
    )


def _theirs(line: dict[str, str]) -> Line:
    cells = (line["learner"], line["memory"], line["env_steps"], "", *(line[band] for band in BANDS), "", line["from"])
    return Line(float(line["in_range"] or "inf"), cells)


def _error(view: View, key: Key) -> Spread | None:
    return mean_error(view.results.block(key).at(-1)) if key in view.results.keys else None


def _score(view: View, key: Key) -> str:
    try:
        return _interval(score(view.results.block(key).at(-1), view.ends()))
    except (MissingError, ValueError):  # no block in range, or the ends of the scale met other bodies
        return ""


def _interval(spread: Spread) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*(float(part[-1]) for part in spread))


def main() -> None:
    """Read the command line and write the page."""
    with cli.wrong_input():
        cfg = tyro.cli(Leaderboard, prog="python -m launch.leaderboard", description=__doc__)
    run(cfg)


if __name__ == "__main__":
    main()
