import io
import json

import pytest
from PIL import Image

from agents.budget import Line, beside, to_csv
from agents.results import Results
from launch.figure_style import LOOKS, MissingError, look, write_png
from launch.figure_view import View
from launch.figures import FIGURES, env_of
from tests.helpers import run_here
from tests.synthetic import rows, whole, write_table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "planartrack-v0.csv.gz"
    lines = [Line("delta", seed, 50_000 * seed + 4321, None, seed, "delta.safetensors", "") for seed in (0, 1)]
    beside(path).write_bytes(to_csv(lines))
    return write_table(path, whole(n_tasks=4))


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    run_here("figures", "--table", str(table), "--out", str(out))
    return out


def test_every_figure_is_drawn_from_the_table_alone(folder):
    assert {path.stem for path in folder.glob("*.png")} == set(FIGURES)
    for path in folder.glob("*.png"):
        assert path.stat().st_size <= 150_000, path
        assert Image.open(io.BytesIO(path.read_bytes())).size[0] > 500
    text = (folder / "figures.md").read_text()
    assert text.startswith("# Figures of planartrack-v0.csv.gz")
    for name in FIGURES:
        assert f"({name}.png)" in text


def test_captions_say_what_was_resampled_and_what_was_forgotten(folder):
    text = (folder / "figures.md").read_text()
    assert "2 meta-seeds x 2 chips x 4 bodies" in text
    # The table's return to A begins with a third of the first error above the last: (.5 - .03) / 3 of (.5 - .03).
    assert "delta rule (ours) 33% (33% to 33%), made up for by lesson" in text
    assert (
        "Told what ours is not: nominal and integral action, the equations of the nominal arm; the oracle, the b"
        in text
    )
    assert "one meta-seed only: delta, delta-plain" in text.split("## noise and bits")[1].split("##")[0]


def test_the_summary_has_a_line_for_every_block(folder, table):
    lines = (folder / "summary.md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 2 + len(Results.read(table).keys)
    oracle = next(line for line in lines if line.startswith("| oracle | float | in_range"))
    assert "| 1.000 (1.000 to 1.000) |" in oracle
    assert "| none |" in oracle  # no training
    ours = next(line for line in lines if line.startswith("| delta rule (ours) | float | in_range"))
    assert "| 4,321 and 54,321 |" in ours  # of the two meta-seeds
    row = next(row for row in json.loads((folder / "metrics.json").read_text())["rows"] if row["learner"] == "oracle")
    assert row["score"] == pytest.approx([1.0, 1.0, 1.0])


def test_the_same_table_gives_the_same_pictures(table, tmp_path):
    for name in ("one", "two"):
        write_png(FIGURES["age"](View(Results.read(table), "envs:PhaseArm/PlanarTrack-v0")), tmp_path / name)
    assert (tmp_path / "one/age.png").read_bytes() == (tmp_path / "two/age.png").read_bytes()


def test_what_is_missing_is_said_in_one_line(tmp_path, capsys):
    small = rows("reward", "hermes_2", "in_range", [0.5, 0.3]) + rows("ppo", "float", "in_range", [0.4, 0.4], 1, 1)
    table = write_table(tmp_path / "planarreach-v0.csv.gz", small)
    run_here("figures", "--table", str(table), "--out", str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert "skipped bands: rows of one band only, ['in_range']" in said
    assert "skipped midlife: no rows of band A-B-A" in said
    assert "skipped pareto: no learner in range wrote a device" in said
    assert "skipped age: no rows of memories like 'hermes_2 age=86400'" in said
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {
        *("adaptation", "profiles", "improvement"),
    }


def test_a_table_of_others_alone_is_drawn_but_for_what_compares_with_ours(tmp_path):
    table = write_table(tmp_path / "planartrack-v0.csv.gz", rows("ppo", "float", "in_range", [0.4, 0.4], 1, 1))
    view = View(Results.read(table), "envs:PhaseArm/PlanarReach-v0")
    with pytest.raises(MissingError, match="none of"):
        FIGURES["improvement"](view)
    assert "PPO lies on float" in FIGURES["adaptation"](view).caption


def test_sweeps_of_reach_are_in_metres_with_the_wiring_by_name_and_the_ends_of_the_scale(tmp_path):
    found = []
    for who, memory, error in (("reward", "hermes_2", 0.2), ("nominal", "float", 0.7), ("oracle", "float", 0.0)):
        for band in ("in_range", "motor_reversed=0", "motor_reversed=1", "motor_swap=-1", "motor_swap=0"):
            found += rows(who, memory, band, [error, error], n_chips=1)
    for noise in (0, 2):
        found += rows("reward", f"hermes_2 noise={noise}", "in_range", [0.5, 0.3], n_chips=1)
    view = View(Results.read(write_table(tmp_path / "reach.csv.gz", found)), "envs:PhaseArm/PlanarReach-v0")
    panels = FIGURES["sensitivity"](view).figure.axes
    ticks = [[label.get_text() for label in panel.get_xticklabels()] for panel in panels]
    assert ticks[:2] == [["right way", "reversed"], ["in place", "swapped"]]
    assert panels[0].get_ylabel() == "tip distance, last .5 s [m]"
    drawn = FIGURES["noise_and_bits"](view)
    assert {"nominal", "oracle"} <= {text.get_text() for text in drawn.figure.axes[0].texts}
    assert drawn.figure.axes[0].get_yscale() == "linear"


def test_one_colour_a_learner_and_one_marker_beside_it():
    pairs = [(each.colour, each.marker) for who, each in LOOKS.items() if who != "reward"]
    assert len({colour for colour, _ in pairs}) == len(pairs)
    assert look("somebody's") == look("somebody's")
    assert look("somebody's").name == "somebody's"


def test_the_family_is_read_off_the_files_name(tmp_path):
    assert env_of(tmp_path / "ScorbotTrack-v0.csv.gz") == "envs:PhaseArm/ScorbotTrack-v0"
    with pytest.raises(ValueError, match="named for no family"):
        env_of(tmp_path / "table.csv.gz")
    (tmp_path / "suite.json").write_text('{"env": "envs:PhaseArm/ScorbotReach-v0"}')
    assert env_of(tmp_path / "table.csv.gz") == "envs:PhaseArm/ScorbotReach-v0"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "nothing.csv.gz"], "no table at nothing.csv.gz"),
        (["--table", "nothing.csv.gz", "--only", "pie"], "unknown figure 'pie'"),
    ],
)
def test_wrong_input_ends_with_code_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        run_here("figures", *arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err
