import numpy as np
import pytest

from agents.results import COLUMNS, Key, Results, variant
from tests.synthetic import rows, write_table

DELTA = Key("delta", "hermes_2", "in_range")


def read(tmp_path, table):
    return Results.read(write_table(tmp_path / "planartrack-v0.csv.gz", table))


def test_each_row_lands_in_its_place(tmp_path):
    values = np.arange(2 * 3 * 2 * 4.0).reshape(2, 3, 2, 4)
    table = [
        [*DELTA, s + 3, c, t, k, values[s, c, t, k], -values[s, c, t, k], 10 * k, 1e-6 * k]
        for s, c, t, k in np.ndindex(values.shape)
    ]
    np.random.default_rng(0).shuffle(table)  # any order will do
    block = read(tmp_path, table).block(DELTA)
    np.testing.assert_array_equal(block.error, values)
    np.testing.assert_array_equal(block.returned, -values)
    np.testing.assert_array_equal(block.devices[1, 2, 0], [0, 10, 20, 30])
    assert block.meta_seeds == (3, 4)
    assert block.numbers == (0, 1, 2, 3)
    np.testing.assert_array_equal(block.at(-1).error, values[..., 3:])
    np.testing.assert_array_equal(block.part(2, 1).error, values[:, :2, :1])
    assert block.episodes == 4


def test_labels_are_found(tmp_path):
    table = rows("delta", "hermes_2", "in_range", [1.0]) + rows("delta", "float", "mild", [1.0])
    results = read(tmp_path, table + rows("nominal", "float", "mild", [1.0]))
    assert results.keys[0] == DELTA
    assert results.find(band="mild") == [Key("delta", "float", "mild"), Key("nominal", "float", "mild")]
    assert results.find("delta", "float") == [Key("delta", "float", "mild")]
    with pytest.raises(ValueError, match=r"no learner 'dleta' in the table; choose from \['delta', 'nominal'\]"):
        results.block(Key("dleta", "float", "mild"))
    with pytest.raises(ValueError, match="no band 'soft'"):
        results.block(Key("delta", "float", "soft"))
    with pytest.raises(ValueError, match=r"no rows of nominal on hermes_2, mild; this learner has \['nominal on float"):
        results.block(Key("nominal", "hermes_2", "mild"))


def test_holes_and_doubles_are_named(tmp_path):
    table = rows("delta", "hermes_2", "in_range", [1.0, 2.0])
    with pytest.raises(ValueError, match=r"1 of 24 rows are missing, the first meta_seed 0, chip 0, task 2, episode 1"):
        read(tmp_path, table[:5] + table[6:]).block(DELTA)
    with pytest.raises(ValueError, match="1 of 24 rows are there twice"):
        read(tmp_path, [*table, table[3]]).block(DELTA)


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table at"):
        Results.read(tmp_path / "nothing.csv.gz")
    (tmp_path / "plain.csv.gz").write_text("learner,memory\n")
    with pytest.raises(ValueError, match="not gzip"):
        Results.read(tmp_path / "plain.csv.gz")
    with pytest.raises(ValueError, match="has no rows"):
        read(tmp_path, [])
    with pytest.raises(ValueError, match=r"line 2: not 11 fields with numbers: .*'many'"):
        read(tmp_path, [[*DELTA, 0, 0, 0, "many", 1, 1, 1, 1]])


def test_a_missing_column_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.synthetic.COLUMNS", [name for name in COLUMNS if name != "energy_j"])
    with pytest.raises(ValueError, match="has no column 'energy_j'"):
        read(tmp_path, [])


def test_variants_are_read():
    assert variant("hermes_2") == ("hermes_2", {})
    assert variant("hermes_2 noise=2 age=86400") == ("hermes_2", {"noise": 2.0, "age": 86400.0})
    with pytest.raises(ValueError, match="words like bits=6"):
        variant("hermes_2 coarse")
