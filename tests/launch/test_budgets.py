"""`launch.budgets`: what the checkpoints say of the learners in a table, beside it."""

import pytest

from agents.budget import beside, read_steps
from tests.helpers import run_here
from tests.synthetic import rows, write_table


def test_the_budgets_of_a_table_are_written_beside_it(tmp_path, capsys):
    found = rows("delta", "hermes_2", "in_range", [0.5, 0.1]) + rows("nominal", "float", "in_range", [0.5, 0.5])
    table = write_table(tmp_path / "planartrack-v0.csv.gz", found)
    run_here("budgets", "--tables", str(table))
    assert capsys.readouterr().out.splitlines() == [str(beside(table))]
    assert read_steps(beside(table)) == {"delta": "11,520,000"}
    first = beside(table).read_bytes()
    run_here("budgets", "--tables", str(table))
    assert beside(table).read_bytes() == first


def test_a_training_whose_checkpoint_is_gone_is_named_and_nothing_is_written(tmp_path, capsys):
    table = write_table(tmp_path / "planartrack-v0.csv.gz", rows("delta", "float", "in_range", [0.5, 0.1]))
    with pytest.raises(SystemExit) as end:
        run_here("budgets", "--tables", str(table), "--checkpoints", str(tmp_path))
    assert end.value.code == 2
    assert "no checkpoint of meta-seed 0" in capsys.readouterr().err
    assert not beside(table).exists()
