"""The bill, worked out by hand."""

import json

import pytest
import torch
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, Ledger, deploy
from pcm_backend.ledger import LEVELS
from pcm_backend.pulse_counts import table_for


def _spent(xbar, act):
    before = xbar.ledger.snapshot()
    act()
    return xbar.ledger - before


@pytest.mark.parametrize(
    ("shape", "slices", "cores"),
    [((5, 66), 2, 1), ((256, 256), 1, 1), ((257, 256), 1, 2), ((200, 300), 2, 4)],  # lines of both slices side by side
)
@pytest.mark.parametrize(("phases", "product_j", "product_s"), [(1, 13.4e-9, 133e-9), (4, 52.8e-9, 521e-9)])
def test_a_read_costs_a_product_for_each_core_and_sample(shape, slices, cores, phases, product_j, product_s, seeded):
    cfg = CrossbarCfg(device="ideal", slices=slices, phases=phases)
    xbar = Crossbar(torch.ones(shape), cfg, n_chips=2, generator=seeded())
    bill = _spent(xbar, lambda: xbar(torch.ones(2, 3, shape[1])))
    assert bill.products.tolist() == [3.0 * cores] * 2
    for level in LEVELS:
        assert bill.energy_j(level).tolist() == pytest.approx([3 * cores * product_j] * 2)
    assert bill.seconds().tolist() == pytest.approx([3 * cores * product_s] * 2)


def test_a_write_by_hand(seeded):
    xbar = Crossbar(torch.full((2, 3), 0.5), CrossbarCfg(device="ideal", w_range=1.0), n_chips=2, generator=seeded())
    report = []
    delta = torch.tensor([[[0.1, 0.0, 0.0], [0.2, 0.0, 0.0]], [[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    bill = _spent(xbar, lambda: report.append(xbar.write(delta)))
    # two conductances of two devices on chip 0, one on chip 1; aimed at .6 and .7 of the range, bins 20 and 23 of 32
    table = table_for(2)
    n_set, n_reset, n_verified = (
        (one[20] + one[23], one[20]) for one in (table.set_pulses, table.reset_pulses, table.iterations)
    )
    assert bill.devices.tolist() == [4.0, 2.0]
    assert bill.pulses.tolist() == pytest.approx([sum(both) for both in zip(n_set, n_reset, strict=True)])
    # eight reads of each cell first, then one before the first step and one after each
    assert bill.verify_reads.tolist() == pytest.approx([2 * (8 + 1) + n_verified[0], 8 + 1 + n_verified[1]])
    # the reference of the written lines: 3 rows, 4 reads each
    assert bill.calibration_products.tolist() == [12.0, 12.0]
    for level, set_j, reset_j in zip(LEVELS, (6e-12, 10e-12, 16e-12), (19e-12, 30e-12, 45e-12), strict=True):
        chip_0 = n_set[0] * set_j + n_reset[0] * reset_j + (18 + n_verified[0]) * 52.8e-9 / 256 + 12 * 52.8e-9
        assert float(bill.energy_j(level)[0]) == pytest.approx(chip_0)
    assert torch.equal(report[0].energy_j, bill.energy_j())
    assert torch.equal(report[0].devices, bill.devices)


def test_calibration_is_booked_apart(seeded):
    xbar = Crossbar(torch.ones(300, 7), CrossbarCfg(calibration_reads=2), n_chips=1, generator=seeded())
    bill = _spent(xbar, xbar.recalibrate)
    assert (float(bill.calibration_products), float(bill.products)) == (7 * 2 * 2, 0.0)  # two cores of lines


def test_digital_work_is_counted_by_name_and_bills_add_and_subtract():
    one, other = Ledger(2), Ledger(2)
    one.digital("tanh", 64)
    other.digital("tanh", torch.tensor([1.0, 2.0]))
    other.digital("sine", 3)
    one.book("devices", 5)
    both = one + other
    assert {name: count.tolist() for name, count in both.digital_counts.items()} == {"tanh": [65, 66], "sine": [3, 3]}
    assert (both - other).digital_counts["tanh"].tolist() == [64, 64]
    assert (both - other).devices.tolist() == [5, 5]
    one.add_(other)
    assert one.to_json() == {**both.to_json(), "digital": one.to_json()["digital"]}


def test_json_is_plain_and_every_constant_has_a_source(seeded):
    xbar = Crossbar(torch.ones(2, 3), n_chips=2, generator=seeded())
    page = json.loads(json.dumps(xbar.ledger.to_json()))
    assert page["energy_j"]["low"][0] < page["energy_j"]["nominal"][0] < page["energy_j"]["high"][0]
    assert all(
        ("10." in each["source"]) or ("assumption" in each["source"]) or ("the same" in each["source"])
        for each in page["constants"].values()
    )


def test_a_ledger_comes_back_from_a_state_and_from_json(seeded):
    xbar = Crossbar(torch.ones(2, 3), n_chips=2, generator=seeded())
    xbar.write(torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.0, -0.3]]))
    xbar.ledger.digital("tanh", torch.tensor([1.0, 2.0]))
    page = json.loads(json.dumps(xbar.ledger.to_json()))
    loaded = Ledger(2)
    loaded.load_state_dict(xbar.ledger.state_dict())
    for twin in (loaded, Ledger.from_json(page)):
        assert twin.to_json() == xbar.ledger.to_json()
        twin.book("devices", 1)  # a copy
    assert xbar.ledger.to_json() == page
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        Ledger(3).load_state_dict(xbar.ledger.state_dict())


def test_a_network_is_billed_by_crossbar_and_as_a_whole(seeded):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    chips = deploy(module, n_chips=2, generator=seeded())
    chips.layers["2"].crossbar.write(torch.full((2, 4), 0.2))
    assert list(chips.ledgers) == ["0", "2"]
    assert chips.ledgers["0"] is chips.layers["0"].crossbar.ledger
    page = json.loads(json.dumps(chips.bill_json()))
    for name in ("devices", "set_pulses", "write_s"):
        parts = [layer["counts"][name] for layer in page["layers"].values()]
        assert page["total"]["counts"][name] == pytest.approx([sum(each) for each in zip(*parts, strict=True)])
    counts = [page["layers"][name]["counts"]["devices"][0] for name in ("0", "2")]
    assert counts[0] == 4 * (3 + 1) * 2 * 2  # weights and biases, two conductances each of two devices
    assert counts[1] >= 2 * (4 + 1) * 2 * 2 + 2 * 4 * 2  # one conductance of each weight was written once more
    assert "source" in page["constants"]["set_pulse_j"]


def test_wrong_names_and_sizes_are_named():
    with pytest.raises(ValueError, match="joules"):
        Ledger(1).book("joules", 1)
    with pytest.raises(ValueError, match="likely"):
        Ledger(1).energy_j("likely")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"2 chips .* 3"):
        Ledger(2) + Ledger(3)
