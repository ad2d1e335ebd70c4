"""The verb `chip` of the bench: its table, its plan, its maps, and what it refuses."""

import json

import pytest
import torch

from launch import speed_chip
from launch.bench_chip import BenchChip, run_chip
from pcm_backend import Crossbar, CrossbarCfg, FaultCfg


def test_the_table_says_what_was_met_and_what_was_missed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed_chip, "SIZE", 8)
    monkeypatch.setattr(speed_chip, "CHIPS", 4)
    threads = torch.get_num_threads()
    folder = run_chip(BenchChip(rounds=1, out=tmp_path))
    metrics, printed = json.loads((folder / "metrics.json").read_text()), capsys.readouterr().out
    assert torch.get_num_threads() == threads
    assert [row["must"] for row in metrics["rows"]] == [4.0, 4.0, 1.6, 2.6, 8.0, 14.0, 0.1]
    for row in metrics["rows"]:
        assert row["ratio"] == pytest.approx(row["ours_s"] / row["baseline_s"])
        assert row["met"] == (row["ratio"] <= row["must"])
    assert set(metrics["bytes_per_weight"]) == {"each", "off"}
    assert printed.count("missed") == sum(not row["met"] for row in metrics["rows"]) + sum(
        count > 40 for count in metrics["bytes_per_weight"].values()
    )


@pytest.mark.parametrize(("network", "layer", "cores"), [("characters", "conv3", 2), ("planar", "head", 2)])
def test_a_floor_plan_comes_as_text_and_picture(tmp_path, capsys, network, layer, cores):
    folder = run_chip(BenchChip(floorplan=True, network=network, out=tmp_path))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["cores"] == cores
    assert layer in {each["layer"] for each in metrics["placements"]}
    assert f"{cores} cores, {metrics['cells']:,} cells" in capsys.readouterr().out
    assert (folder / "floorplan.png").read_bytes().startswith(b"\x89PNG")


def test_maps_show_a_head_after_its_lessons_with_the_bill_of_every_layer(tmp_path):
    folder = run_chip(BenchChip(maps=True, lessons=1, out=tmp_path))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"first", "second", "feature", "innate", "head"} == set(metrics["layers"])
    assert set(metrics["layers"]["head"]["energy_j"]) == {"low", "nominal", "high"}
    assert metrics["pulses_per_device"]["max"] >= metrics["pulses_per_device"]["mean"] > 0
    assert (folder / "maps.png").read_bytes().startswith(b"\x89PNG")


def test_pulses_of_single_devices_are_counted_where_they_wear():
    def crossbar(faults):
        generator = torch.Generator().manual_seed(0)
        return Crossbar(torch.eye(3), CrossbarCfg(faults=faults), n_chips=2, generator=generator)

    with pytest.raises(ValueError, match="endurance is given"):
        crossbar(FaultCfg()).pulses_taken()
    counted = crossbar(FaultCfg(endurance=1e9))
    before = counted.pulses_taken()
    delta = torch.zeros(3, 3)
    delta[0, 1] = 0.3
    counted.write(delta)
    changed = (counted.pulses_taken() > before).flatten(0, 2).any(0)  # (out, in)
    assert changed.tolist() == [[False, True, False], [False] * 3, [False] * 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"floorplan": True, "maps": True}, "exclude each other"),
        ({"maps": True, "network": "characters"}, "choose from"),
        ({"rounds": 0}, "rounds must be at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BenchChip(**options)
