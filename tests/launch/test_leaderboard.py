"""The results page: our lines come from a table, others' from a list, the rest of the page stays as it is."""

import re
import shutil

import pytest

from agents.budget import Line
from agents.results import Results
from launch.figure_view import View
from launch.leaderboard import FIELDS, placed, read_lines, table
from tests.helpers import ROOT, run_apart, run_here
from tests.synthetic import rows, write_table

PAGE = (ROOT / "docs" / "results.md").read_text()
TRACK = "envs:PhaseArm/PlanarTrack-v0"


@pytest.fixture
def small(tmp_path):
    # the mean over tasks and chips of what `rows` makes is the last of its curve
    found = [
        *rows("nominal", "float", "in_range", [0.5, 0.5], n_chips=1, spread=0.0),
        *rows("oracle", "float", "in_range", [0.01, 0.01], n_chips=1, spread=0.0),
        *rows("delta", "hermes_2", "in_range", [0.5, 0.03], spread=0.0),
        *rows("delta", "hermes_2", "hard", [0.5, 0.05], spread=0.0),
        *rows("delta", "hermes_2 bits=4", "in_range", [0.5, 0.2], spread=0.0),
    ]
    return write_table(tmp_path / "planartrack-v0.csv.gz", found)


def cells(text, start):
    return [cell.strip() for cell in next(line for line in text.splitlines() if start in line).split("|")[1:-1]]


def test_lines_are_the_last_episodes_means_best_first(small):
    text = table(View(Results.read(small), TRACK), [])
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == [
        *("oracle", "delta rule (ours)", "nominal"),
    ]  # variants of the chip have no line
    ours = cells(text, "delta rule")
    assert ours[1] == "hermes_2"
    assert ours[3] == "1 x 2 x 6"
    assert ours[4].startswith("0.030 (")
    assert ours[5] == ""  # no rows in mild
    assert ours[6].startswith("0.050 (")
    assert ours[7].startswith(f"{(0.5 - 0.03) / (0.5 - 0.01):.3f} (")
    assert cells(text, "| oracle")[2] == "none"


def test_steps_are_those_of_the_budgets_beside_the_table(small):
    line = "delta,0,{},,0,delta.safetensors,\n"
    small.with_name("planartrack-v0.budgets.csv").write_text(",".join(Line._fields) + "\n" + line.format(1234567))
    assert cells(table(View.of(Results.read(small), small, TRACK), []), "delta rule")[2] == "1,234,567"
    small.with_name("planartrack-v0.budgets.csv").unlink()
    assert cells(table(View.of(Results.read(small), small, TRACK), []), "delta rule")[2] == ""


def test_others_take_their_place(small, tmp_path):
    lines = tmp_path / "lines.csv"
    lines.write_text(",".join(FIELDS) + f"\n{TRACK},fox,float,10000000,0.2,0.3,,example.org\nenvs:X-v0,owl,,,,,,\n")
    text = table(View(Results.read(small), TRACK), read_lines(lines))
    assert cells(text, "fox") == ["fox", "float", "10000000", "", "0.2", "0.3", "", "", "example.org"]
    order = [line.split("|")[1].strip() for line in text.splitlines()[2:]]
    assert order.index("delta rule (ours)") < order.index("fox") < order.index("nominal")
    assert "owl" not in text


def test_only_the_table_changes_and_again_gives_the_same(small, tmp_path, capsys):
    page, lines = tmp_path / "results.md", tmp_path / "lines.csv"
    page.write_text(PAGE)
    shutil.copy(ROOT / "docs/results/lines.csv", lines)
    arguments = ("--tables", str(small), "--lines", str(lines), "--page", str(page))
    run_here("leaderboard", *arguments)
    once = page.read_text()
    cut = lambda text: re.sub(r"(<!-- planartrack-v0 -->).*?(<!-- end -->)", r"\1\2", text, flags=re.DOTALL)  # noqa: E731
    assert cut(once) == cut(PAGE)
    assert "delta rule (ours)" in once
    run_here("leaderboard", *arguments)
    assert page.read_text() == once
    said = capsys.readouterr().out
    assert str(page) in said
    assert "no planartrack-v0.budgets.csv beside planartrack-v0.csv.gz: environment steps are left out" in said


def test_wrong_input_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no place for 'walker-v0'; it has \['planartrack-v0'"):
        placed(PAGE, "walker-v0", "")
    lines = tmp_path / "lines.csv"
    lines.write_text("env,learner\n")
    with pytest.raises(ValueError, match="no column 'memory'"):
        read_lines(lines)
    lines.write_text(",".join(FIELDS) + "\na,fox,float,1,good,,,\n")
    with pytest.raises(ValueError, match="in_range of 'fox' must be a number or empty, not 'good'"):
        read_lines(lines)


def test_every_line_of_others_is_on_the_page():
    for line in read_lines(ROOT / "docs/results/lines.csv"):
        assert f"| {line['learner']} | {line['memory']} | {line['env_steps']} |" in PAGE


def test_the_snippet_makes_a_line(tmp_path):
    (text,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    few = text.replace("(ID, 100)", "(ID, 3)").replace("tasks(100,", "tasks(3,").replace("(0, 100)", "(0, 3)")
    assert few.count("100") == 0
    (tmp_path / "snippet.py").write_text(few)
    code, out, err = run_apart("snippet", cwd=tmp_path)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["in_range", "mild", "hard"]
