"""The page that says what programming takes."""

import json

import pytest

from launch.pulses import Pulses, run


def test_it_measures_every_bin_and_writes_the_page(tmp_path, capsys):
    folder = run(Pulses(cells=3000, bins=3, out=tmp_path / "page"))
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    assert [row["low"] for row in rows] == pytest.approx([0.05, 0.05 + 0.95 / 3, 0.05 + 1.9 / 3])
    assert all(row["error_us"] == pytest.approx(row["fitted_us"], rel=0.2) for row in rows)
    assert all(row["converged"] > 0.97 for row in rows)
    text = (folder / "README.md").read_text()
    assert "0.050 to 0.367" in text
    assert "pulses.png" in text
    assert (folder / "pulses.png").stat().st_size > 5000
    assert capsys.readouterr().out.rstrip().endswith(str(folder))


def test_too_few_cells_are_named():
    with pytest.raises(ValueError, match=r"--cells must be at least 100 .* 50 and 10"):
        Pulses(cells=50)
