"""The page that says what is left of an increment."""

import json

import pytest

from launch.increments import Increments, measure, run


def test_lessons_of_the_size_of_the_weights_survive_a_month():
    """The chip's promise: right after the write .95 and a slope of .9 to 1.1, after thirty days .92 and .7 to 1.2."""
    found = measure(Increments(size=96, chips=4, seed=1), "verify", 1.25)
    assert found.correlation > 0.95
    assert 0.9 < found.slope < 1.1
    assert found.rested_correlation > 0.92
    assert 0.7 < found.rested_slope < 1.2
    assert found.moved == 0.0
    small = measure(Increments(size=96, chips=4, seed=1), "verify", 0.1)
    assert small.rested_correlation < 0.5
    assert small.below_error > 0.5


def test_it_writes_the_page(tmp_path, capsys):
    cfg = Increments(size=16, chips=2, ratios=(0.5, 1.0), methods=("verify", "blind"), firsts=("verify", "gdp"))
    folder = run(Increments(**vars(cfg) | {"out": tmp_path / "run", "page": tmp_path / "page.md"}))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [row["ratio"] for row in metrics["increments"]["blind"]] == [0.5, 1.0]
    assert [row["slices"] for row in metrics["first_programming"]["gdp"]] == [1, 2]
    text = (tmp_path / "page.md").read_text()
    assert text == (folder / "increments.md").read_text()
    assert "## `blind`" in text
    assert text.count("| `gdp` |") == 2
    assert capsys.readouterr().out.rstrip().endswith(str(folder))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"memory": "flash"}, "hermes_2"),
        ({"share": 1.0}, "--share"),
        ({"chips": 0}, "--chips"),
        ({"ratios": ()}, "--rat"),
    ],
)
def test_wrong_input_is_named(options, word):
    with pytest.raises(ValueError, match=word):
        Increments(**options)
