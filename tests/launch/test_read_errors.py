"""What each error of a read adds to a product."""

import json

import pytest
import torch

from launch import read_errors
from tests.helpers import run_apart


def test_errors_by_hand():
    # products 3 and 4 read as 3.3 and 4.4: a tenth too large, nothing left once the slope is taken out
    exact = torch.tensor([3.0, 4.0]).view(1, 2, 1)
    found = read_errors.errors(1.1 * exact, exact, torch.tensor([10.0]))
    assert found.of_output == pytest.approx(0.1, rel=1e-5)
    assert found.of_full_scale == pytest.approx((0.5 * (0.09 + 0.16)) ** 0.5 / 10, rel=1e-5)
    assert found.after_slope == pytest.approx(0.0, abs=1e-6)


def test_tables_are_printed_and_written(tmp_path):
    code, out, _ = run_apart(
        "launch.read_errors", "--out", str(tmp_path), "--chips", "1", "--size", "16", "--batch", "8"
    )
    assert code == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for name, found in metrics["errors"].items():
        assert f"| {name} | {100 * found['of_output']:.2f} |" in out
    assert set(metrics["compensation"]) == {"column", "global", "none"}
    assert (tmp_path / "read_errors.png").stat().st_size > 10_000


def test_wrong_device_is_named(tmp_path):
    code, _, err = run_apart("launch.read_errors", "--out", str(tmp_path), "--device", "flash")
    assert code == 2
    assert "flash" in err
    assert "hermes_2" in err
