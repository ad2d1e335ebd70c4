"""Devices from measured points: interpolation against NumPy's, files in both forms, and what is refused."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, FittedDevice, TableFit, read_table, register_device

COLUMNS = {
    "g_us": [0.5, 2.0, 12.0, 20.0],
    "programming_sd_us": [0.2, 0.6, 1.0, 0.8],
    "drift_mean": [0.1, 0.07, 0.05, 0.02],
    "drift_sd": [0.04, 0.02, 0.01, 0.005],
    "read_q": [0.04, 0.03, 0.02, 0.01],
}
CSV = """# a wafer of ours
g_us, programming_sd_us, drift_mean, drift_sd, read_q
0.5, 0.2, 0.1, 0.04, 0.04

2, 0.6, 0.07, 0.02, 0.03
12, 1.0, 0.05, 0.01, 0.02
20, 0.8, 0.02, 0.005, 0.01
"""


@pytest.fixture
def register():
    """`register_device` whose names are gone after the test."""
    before = set(DEVICES)
    yield register_device
    for name in set(DEVICES) - before:
        del DEVICES[name]


def test_between_points_and_beyond_them_as_numpy_interpolates():
    fit = TableFit.from_arrays(**COLUMNS)
    g_us = np.array([0.0, 0.5, 0.6, 1.9999, 2.0, 7.0, 12.0, 19.0, 20.0, 25.0])
    ghat = torch.tensor(g_us / 20.0, dtype=torch.float32)
    found = [fit.programming_sigma_us(ghat), *fit.drift_exponent(ghat), fit.read_noise(ghat)]
    for values, name in zip(found, list(COLUMNS)[1:], strict=True):
        np.testing.assert_allclose(values.numpy(), np.interp(g_us, COLUMNS["g_us"], COLUMNS[name]), rtol=1e-6)


def test_one_point_by_hand():
    # 7 uS is halfway from 2 to 12: spread (.6 + 1) / 2, exponent (.07 + .05) / 2 and (.02 + .01) / 2, Q (.03 + .02) / 2
    fit, ghat = TableFit.from_arrays(**COLUMNS), torch.tensor([7.0 / 20.0])
    assert [
        float(fit.programming_sigma_us(ghat)),
        *map(float, fit.drift_exponent(ghat)),
        float(fit.read_noise(ghat)),
    ] == (pytest.approx([0.8, 0.06, 0.015, 0.025], rel=1e-6))


def test_a_table_of_a_fit_samples_like_the_fit(register, seeded):
    fit = DEVICES["hermes_1"].fit
    g_us = torch.cat([torch.linspace(1e-4, 0.5, 60), torch.linspace(0.6, 15.0, 120)])
    ghat = g_us / fit.g_max_us
    mean, sd = fit.drift_exponent(ghat.clamp(max=1.0))
    fitted, read = fit.programming_sigma_us(ghat), fit.read_noise(ghat)
    table = TableFit.from_arrays(
        g_us=g_us, programming_sd_us=fitted, drift_mean=mean, drift_sd=sd, read_q=read, t0_s=200.0, t_read_s=512e-9
    )
    ours, theirs = register("hermes_as_points", table), DEVICES["hermes_1"]
    target = torch.linspace(0.0, fit.g_max_us, 400)
    states = [device.program(target, seeded(3)) for device in (ours, theirs)]
    torch.testing.assert_close(states[0].g_us, states[1].g_us, atol=0.01, rtol=0)
    reads = [device.read(state, 3600.0, seeded(4)) for device, state in zip((ours, theirs), states, strict=True)]
    torch.testing.assert_close(reads[0], reads[1], atol=0.02, rtol=0.01)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_columns_may_be_lists_arrays_or_tensors(kind):
    fit = TableFit.from_arrays(**{name: kind(values) for name, values in COLUMNS.items()})
    assert fit.g_us == (0.5, 2.0, 12.0, 20.0)
    assert fit.g_max_us == 20.0
    assert fit.read_q == pytest.approx((0.04, 0.03, 0.02, 0.01))


def test_both_files_say_the_same(tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps({**COLUMNS, "t0_s": 30.0, "n_physical": 2}))
    (tmp_path / "cells.csv").write_text(CSV)
    from_json, from_csv = read_table(tmp_path / "cells.json"), read_table(tmp_path / "cells.csv", t0_s=30, n_physical=2)
    assert from_json == from_csv
    assert (from_json.t0_s, from_json.n_physical, from_json.t_read_s) == (30.0, 2, 250e-9)
    assert read_table(tmp_path / "cells.json", t0_s=40.0).t0_s == 40.0


def test_a_registered_table_carries_a_crossbar(register, seeded):
    register("ours", TableFit.from_arrays(**COLUMNS))
    xbar = Crossbar(torch.eye(8), CrossbarCfg(device="ours"), n_chips=64, generator=seeded())
    spread = xbar.conductances_us()[:, 0, 0].diagonal(dim1=1, dim2=2).std()
    assert float(spread) == pytest.approx(0.8, rel=0.15)  # 512 devices at the last point: a fifteenth of it


def test_a_name_stands_for_one_device(register):
    fit = TableFit.from_arrays(**COLUMNS)
    assert register("ours", fit) == register("ours", TableFit.from_arrays(**COLUMNS))
    with pytest.raises(ValueError, match=r"'ours' is taken.*'hermes_2'"):
        register("ours", TableFit.from_arrays(**{**COLUMNS, "drift_sd": [0.0] * 4}))
    with pytest.raises(ValueError, match="'hermes_2' is taken"):
        register("hermes_2", fit)
    for name in ("float", "", "My cells", "2nd"):
        with pytest.raises(ValueError, match=f"got {name!r}"):
            register(name, fit)
    with pytest.raises(ValueError, match=r"unknown device 'theirs'; choose from .*'ours'"):
        CrossbarCfg(device="theirs")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"read_q": None}, r"lacks \['read_q'\]"),
        ({"colour": [1]}, r"unknown \['colour'\].*'drift_mean'"),
        ({"drift_sd": [0.1, 0.1]}, "'drift_sd': 2"),
        ({name: [1.0] for name in COLUMNS}, "two points or more"),
        ({"g_us": [0.5, 2.0, 2.0, 20.0]}, r"g_us must rise.*2\.0, 2\.0"),
        ({"g_us": [-1.0, 2.0, 12.0, 20.0]}, r"g_us must be zero or more.*-1\.0"),
        ({"read_q": [0.04, math.nan, 0.02, 0.01]}, r"read_q must be .*finite.*nan"),
        ({"drift_mean": [0.04, "much", 0.02, 0.01]}, "drift_mean holds 'much'"),
        ({"drift_mean": [0.04, True, 0.02, 0.01]}, "drift_mean holds True"),
        ({"drift_mean": [[0.04], 1, 2, 3]}, r"drift_mean holds \[0.04\]"),
        ({"drift_mean": 0.04}, "drift_mean must be a list of numbers, got 0.04"),
        ({"t0_s": 0.0}, r"t0_s must be positive.*0\.0"),
        ({"n_physical": 1.5}, "n_physical must be a whole number.*1.5"),
    ],
)
def test_a_bad_table_is_named(change, said, tmp_path):
    table = {name: values for name, values in {**COLUMNS, **change}.items() if values is not None}
    with pytest.raises(ValueError, match=said):
        TableFit.from_arrays(**table)
    path = tmp_path / "cells.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=rf"cells\.json: .*{said}"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{'g_us'", "line 1 column 2"),
        ("a.json", "[1, 2]", "needs an object with .*'read_q'.*got a list"),
        ("a.csv", "", "no line at all"),
        ("a.csv", "g_us\n1\n", "lacks .*'programming_sd_us'"),
        ("a.csv", CSV + "21, 1, 1\n", r"line 8 has 3 values for 5 columns: \['21', '1', '1'\]"),
        ("a.csv", CSV.replace("12, 1.0", "12, ?"), r"programming_sd_us holds '\?'"),
        ("a.csv", CSV.replace("drift_sd", "read_q"), "names a column twice"),
        ("a.xlsx", "", r"ends in \.json or \.csv"),
    ],
)
def test_a_bad_file_is_named(name, text, said, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name.replace('.', '[.]')}: .*{said}"):
        read_table(tmp_path / name)


def test_read_noise_near_zero_is_cut_in_the_moments():
    assert not TableFit.from_arrays(**COLUMNS).cut_matters  # .04 x 6 = .24 of the conductance: four deviations above 0
    assert TableFit.from_arrays(**{**COLUMNS, "read_q": [0.2, 0.1, 0.04, 0.04]}).cut_matters


@st.composite
def tables(draw):
    steps = draw(st.lists(st.floats(0.01, 10.0), min_size=2, max_size=6))
    column = st.lists(st.floats(0.0, 1.0), min_size=len(steps), max_size=len(steps))
    return TableFit.from_arrays(g_us=np.cumsum(steps), **{name: draw(column) for name in list(COLUMNS)[1:]})


@settings(max_examples=25, deadline=None)
@given(tables())
def test_laws_hold_for_any_table(fit):
    device = FittedDevice(fit)
    target = torch.linspace(0.0, fit.g_max_us, 50)
    state, again = (device.program(target, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(state, again, strict=True))  # same generator, same devices
    curve = torch.stack([device.conductance(state, age_s) for age_s in (0.0, 60.0, 3600.0, 3e7)])
    assert (curve >= 0).all()
    assert (curve.diff(dim=0) <= 0).all()  # drift lets no conductance grow
    read = device.read(state, 60.0, torch.Generator().manual_seed(6))
    assert (read >= 0).all()
    assert torch.isfinite(read).all()
    assert all(torch.equal(a, b) for a, b in zip(state, again, strict=True))  # and no read changed them
    mean, variance = device.read_moments(state, 60.0)
    assert (mean >= curve[1] - 1e-6).all()  # a cut at zero takes nothing away
    assert (variance >= 0).all()
