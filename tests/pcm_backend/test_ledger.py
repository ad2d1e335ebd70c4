"""The bill, worked out by hand."""

import json

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg, Ledger
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


def test_wrong_names_and_sizes_are_named():
    with pytest.raises(ValueError, match="joules"):
        Ledger(1).book("joules", 1)
    with pytest.raises(ValueError, match="likely"):
        Ledger(1).energy_j("likely")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"2 chips .* 3"):
        Ledger(2) + Ledger(3)
