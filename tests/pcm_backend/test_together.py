"""Laws that hold whatever is switched on together: devices, faults, ways to write, slices, noise and periphery."""

import io

import pytest
import torch
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, FaultCfg, LooksCfg, PeripheryCfg, UpdateCfg, deploy

YEAR_S = 365.25 * 86400.0
HERMES = PeripheryCfg.hermes()
ONE_PHASE = PeripheryCfg(gain_spread=0.05, polarity_spread=0.02, wire_ohm=0.35)
BROKEN = FaultCfg(stuck_set=0.05, stuck_reset=0.05, dead_rows=1, dead_columns=1)
WEARS = FaultCfg(stuck_set=0.1, sticks="cell", endurance=40.0)


def _cfg(device, updates=None, **other):
    return CrossbarCfg(device=device, updates=UpdateCfg(**(updates or {})), **other)


# Every pair of features that touch each other's state stands in at least one of these.
COMBINATIONS = {
    "pulses, faults, slices, targets, hermes": _cfg(
        "hermes_2_pulses", {"base": "target"}, slices=2, faults=BROKEN, periphery=HERMES, in_range=2.0
    ),
    "pulses, wear, frozen, set-only, mixed, rows": _cfg(
        "hermes_2_pulses", {"method": "mixed", "by": "set_only"}, faults=WEARS, read_noise="frozen", rows_per_weight=3
    ),
    "single pulses, blind, one phase, global": _cfg(
        "hermes_1_pulses", {"method": "blind"}, phases=1, periphery=ONE_PHASE, compensation="global"
    ),
    "frozen, slices, targets, hermes, wear": _cfg(
        "hermes_2", {"base": "target"}, slices=2, read_noise="frozen", periphery=HERMES, faults=WEARS
    ),
    "ideal off, max-set-fill, stochastic, doublings": _cfg(
        *("hermes_2", {"method": "stochastic", "first": "max_set_fill"}),
        **{"off_device": "ideal", "slices": 2, "out_range": 2.0, "out_doublings": 3},
    ),
    "pulses, set-only, frozen": _cfg("hermes_2_pulses", {"method": "set_only"}, read_noise="frozen"),
    "gdp, faults, top-k, no compensation": _cfg(
        "pcm_like", {"first": "gdp", "top_k": 0.3}, faults=BROKEN, compensation="none", scale="matrix"
    ),
    "set-only with targets, threshold, quiet": _cfg(
        "hermes_1", {"method": "set_only", "base": "target", "threshold": 0.05}, read_noise="off", faults=WEARS
    ),
    "looks, faults, slices, rows, hermes": _cfg(
        *("hermes_2", {"looks": LooksCfg(2)}),
        **{"faults": BROKEN, "slices": 2, "rows_per_weight": 3, "periphery": HERMES, "in_range": 2.0},
    ),
    "looks at pulses, targets, frozen, wear": _cfg(
        "hermes_2_pulses", {"base": "target", "looks": LooksCfg(1)}, read_noise="frozen", faults=WEARS
    ),
    "mixed, blind, several rows, no converters": _cfg(
        "state_independent",
        {"method": "mixed", "by": "blind"},
        **{"rows_per_weight": 3, "dac_bits": 0, "adc_bits": 0, "off_device": "ideal"},
    ),
}
ALL = pytest.mark.parametrize("cfg", COMBINATIONS.values(), ids=COMBINATIONS.keys())
REPORTED = ("devices", "pulses", "saturated", "failed", "energy_j", "time_s", "increments", "below_error")


def _chips(cfg, seeded, n_chips=4, seed=0, n_in=7):
    weights = torch.randn(3, n_in, generator=seeded(1))
    return Crossbar(weights, cfg, n_chips=n_chips, generator=seeded(seed), bias=torch.randn(3, generator=seeded(2)))


def _lesson(xbar, seeded, seed=3):
    """Read, write to two fifths of the cells, read; return all that can be seen of the chips, by name."""
    shape = (8, xbar.out_features, xbar.in_features)
    drawn = seeded(seed)
    delta = 0.4 * torch.randn(shape, generator=drawn) * (torch.rand(shape, generator=drawn) < 0.4)
    x = torch.randn(8, 2, xbar.in_features, generator=drawn)[: xbar.n_chips]
    seen = {"read": xbar(x), "spikes": xbar.spikes((x > 0).float())}
    report = xbar.write(delta[: xbar.n_chips])
    seen |= {name: getattr(report, name) for name in REPORTED} | report.failed_by
    seen |= {
        "read again": xbar(x),
        "weights": xbar.weights(),
        "bias": torch.as_tensor(xbar.bias()),
        "g": xbar.conductances_us(),
    }
    return seen | {"ages": xbar.ages_s(), "factors": xbar.factors, "clock": xbar.clock_s, "s": xbar.ledger.seconds()}


def _flat(state, name=""):
    if not isinstance(state, dict):
        return {name: torch.tensor(list(state.encode())) if isinstance(state, str) else torch.as_tensor(state)}
    return {key: each for part, rest in state.items() for key, each in _flat(rest, f"{name}/{part}").items()}


def _assert_same(one, other):
    one, other = _flat(one), _flat(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@ALL
def test_the_same_seed_is_the_same_chip_and_four_chips_are_the_first_of_eight(cfg, seeded):
    few, again, many = _chips(cfg, seeded), _chips(cfg, seeded), _chips(cfg, seeded, n_chips=8)
    seen, seen_again, seen_many = (_lesson(each, seeded) for each in (few, again, many))
    _assert_same(seen, seen_again)
    _assert_same(few.state_dict(), again.state_dict())
    for name in set(seen) - {"read", "spikes", "read again"}:
        # to rounding: where plain torch works, a vector's end is not computed by the instructions of its middle
        torch.testing.assert_close(seen_many[name][:4], seen[name], rtol=2e-5, atol=2e-6, msg=name)
    step = 0.1 if cfg.adc_bits else 1e-4  # of the converters, largest output about 5: a number may fall to either side
    for name in ("read", "spikes", "read again"):
        torch.testing.assert_close(seen_many[name][:4], seen[name], rtol=0.0, atol=step, msg=name)


@ALL
def test_a_zero_increment_writes_nothing_and_costs_nothing_and_drift_raises_no_mean(cfg, seeded):
    xbar = _chips(cfg, seeded)
    if xbar.cfg.updates.gathers:  # empty accumulators, so that nothing is due
        xbar = _chips(cfg, seeded, seed=5)
    else:
        _lesson(xbar, seeded)
    xbar(torch.zeros(4, 1, 7))  # time that a write took has passed
    before_us = xbar.conductances_us()
    xbar.advance(YEAR_S, calibrate=False)
    g_us, ages_s, bill = xbar.conductances_us(), xbar.ages_s(), xbar.ledger.snapshot()
    assert bool((g_us <= before_us * (1.0 + 1e-6)).all())
    assert float(g_us.mean()) <= float(before_us.mean())

    report = xbar.write(torch.zeros(3, 7))
    assert not any(bool(getattr(report, name).any()) for name in REPORTED)
    assert not any(bool(each.any()) for each in (xbar.ledger - bill).counts.values())
    assert torch.equal(xbar.conductances_us(), g_us)
    assert torch.equal(xbar.ages_s(), ages_s)


@ALL
def test_reads_change_no_state_and_a_write_moves_no_other_cell(cfg, seeded):
    xbar = _chips(cfg, seeded)
    x = torch.randn(4, 2, 7, generator=seeded(4))
    xbar(x)
    before = {name: each.clone() for name, each in _flat(xbar.state_dict()).items()}
    for read in (lambda: xbar(x), lambda: xbar.spikes((x > 0).float()), xbar.weights, xbar.bias, xbar.conductances_us):
        read()
    after = _flat(xbar.state_dict())
    drawn_and_booked = ("/streams/count", "/ledger/counts/products_")
    changed = [name for name, each in before.items() if not torch.equal(each, after[name])]
    assert all(name.startswith(drawn_and_booked) for name in changed)

    g_us, delta = xbar.conductances_us(), torch.zeros(4, 3, 7)
    delta[1, 0, :3] = 0.8
    xbar.write(delta)
    moved = (xbar.conductances_us() != g_us).any(1).any(1)  # (K, lines, rows)
    moved[1, 0].view(cfg.rows_per_weight, -1)[:, :3] = False  # copy r of input i is row r x in + i, the bias last
    assert not bool(moved.any())


@ALL
def test_a_state_saved_in_the_middle_of_an_adaptation_goes_on_to_the_bit_a_year_later(cfg, seeded):
    xbar = _chips(cfg, seeded)
    _lesson(xbar, seeded)
    xbar.advance(YEAR_S)
    some = torch.zeros(4, 3, 7)
    some[:, 1, 2:4] = 0.5
    xbar.write(some)  # and the time of this write has not passed yet
    file = io.BytesIO()
    torch.save(xbar.state_dict(), file)
    file.seek(0)
    resumed = _chips(cfg, seeded, seed=99)
    _lesson(resumed, seeded, seed=8)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    _assert_same(xbar.state_dict(), resumed.state_dict())
    copies = xbar.copies(2), resumed.copies(2)
    assert torch.equal(copies[0].conductances_us(), xbar.conductances_us().repeat_interleave(2, 0))
    for pair in (copies, (xbar, resumed)):
        for seed in (5, 6):
            _assert_same(*(_lesson(each, seeded, seed) for each in pair))
            for each in pair:
                each.advance(86400.0)
        _assert_same(*(each.state_dict() for each in pair))
    assert bool(torch.isfinite(xbar.weights()).all())


@ALL
def test_what_other_chips_are_taught_is_nothing_to_a_chip(cfg, seeded):
    quiet, busy = _chips(cfg, seeded), _chips(cfg, seeded)
    delta = torch.zeros(4, 3, 7)
    delta[0, :, ::2] = 0.1  # a short train of pulses where trains are given
    report = quiet.write(delta)
    delta[1:] = 0.5  # and longer ones beside it
    report_too = busy.write(delta)
    devices, devices_too = (each.state_dict()["pairs"] for each in (quiet, busy))
    for name, each in devices.items():
        torch.testing.assert_close(each[0], devices_too[name][0], rtol=2e-5, atol=2e-6, msg=name)
    for name in REPORTED:
        torch.testing.assert_close(
            getattr(report, name)[0], getattr(report_too, name)[0], rtol=2e-5, atol=0.0, msg=name
        )


@ALL
def test_copies_have_futures_of_their_own_and_leave_their_origin_alone(cfg, seeded):
    xbar = _chips(cfg, seeded, n_chips=2)
    _lesson(xbar, seeded)
    twins = xbar.copies(2)
    state = xbar.state_dict()
    delta = torch.full((3, 7), 0.5)
    twins.write(delta)
    twins.advance(3600.0)
    _assert_same(state, xbar.state_dict())
    g_us = twins.conductances_us()
    assert bool((g_us[0] != g_us[1]).any())  # written alike, and programmed otherwise


class _Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells, self.head = kind(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0])


def _pictures():
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    )
    return net.eval(), (6, 2, 6, 6)


NETWORKS = {
    "pictures": _pictures,
    "gru": lambda: (_Recurrent(nn.GRU), (6, 4, 5)),
    "lstm": lambda: (_Recurrent(nn.LSTM), (6, 4, 5)),
    "several cores": lambda: (nn.Sequential(nn.Linear(300, 4)), (20, 300)),
}
PULSED = _cfg("hermes_2_pulses", {"base": "target"}, slices=2, faults=WEARS, periphery=HERMES, read_noise="frozen")
DESCENDED = _cfg("hermes_2", {"first": "gdp", "method": "stochastic"}, off_device="ideal", rows_per_weight=2)


def _network_lesson(chips, x, seeded, seed):
    before = chips(x)
    for crossbar in chips.crossbars.values():
        crossbar.write(0.2 * torch.randn(crossbar.out_features, crossbar.in_features, generator=seeded(seed)))
    chips.advance(3600.0)
    return before, chips(x)


@pytest.mark.parametrize("cfg", [PULSED, DESCENDED], ids=["pulsed", "descended"])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_deployed_network_and_its_copies_resume_to_the_bit(network, cfg, seeded):
    torch.manual_seed(0)
    net, shape = network()
    x = torch.randn(shape, generator=seeded(1))
    chips, resumed = (deploy(net, cfg, n_chips=2, generator=seeded(seed), calibration=x) for seed in (2, 3))
    few, many = x.expand(2, *shape), x.expand(4, *shape)
    for each, seed in ((chips, 4), (resumed, 5)):
        _network_lesson(each, few, seeded, seed)
    file = io.BytesIO()
    torch.save(chips.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for one, other, inputs in ((chips.copies(2), resumed.copies(2), many), (chips, resumed, few)):
        seen, seen_too = (_network_lesson(each, inputs, seeded, 6) for each in (one, other))
        assert all(torch.equal(y, z) for y, z in zip(seen, seen_too, strict=True))
        assert bool(torch.isfinite(seen[1]).all())
        assert one.bill_json() == other.bill_json()
