import csv

import pytest

from agents.energy import Meter
from launch import energy
from tests.helpers import run_here

TINY = ["--chips", "1", "--tasks", "2", "--lessons", "1", "--arms", "4", "--measure-s", "0.01"]


def test_table_picture_and_page(tmp_path, capsys):
    run_here("energy", *TINY, "--out", str(tmp_path))
    with (tmp_path / "energy.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == energy.COLUMNS
    assert len(rows) == 9  # three machines, three things to do
    step, lesson, life = (float(row["energy_j"]) for row in rows if row["where"] == "hermes_2")
    assert life == pytest.approx(100 * step + lesson, rel=1e-3)
    page = (tmp_path / "energy.md").read_text()
    for said in ("Not counted on the chip", "Not counted on the processor", Meter(10.0).source):
        assert said in page
    assert (tmp_path / "energy.png").stat().st_size <= 150_000
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path)


@pytest.mark.parametrize("arguments", [["--watts", "0"], ["--arms", "0"], ["--env", "nowhere"]])
def test_wrong_input_ends_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        run_here("energy", *arguments)
    assert end.value.code == 2
    assert arguments[1] in capsys.readouterr().err
