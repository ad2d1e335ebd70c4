import pytest
import torch

from agents.delta import DeltaCfg, DeltaLearner
from agents.energy import Meter, Price, Prices, chip_prices, processor_prices
from agents.evaluation import Arena, EvaluationCfg
from agents.network import NetworkCfg
from agents.shipped import load_shipped, shipped_path

ENV = "envs:PhaseArm/PlanarTrack-v0"


def test_a_life_by_hand():
    # Two episodes of three steps, a lesson after each: 6 steps of (1, 2, 3) J and .5 s, 2 lessons of 10 J and 1 s.
    prices = Prices(Price((1.0, 2.0, 3.0), 0.5), Price((10.0, 10.0, 10.0), 1.0))
    assert prices.life(steps=3, lessons=2) == Price((26.0, 32.0, 38.0), 5.0)


def test_joules_are_seconds_times_watts_where_the_processor_does_not_count(tmp_path):
    meter = Meter(8.0, tmp_path / "nothing", 0.01)
    price = meter.price(lambda: sum(range(20000)), share=0.5, repeats=3)
    assert price.energy_j == pytest.approx([8.0 * price.seconds] * 3)
    assert 1e-6 < price.seconds < 0.1
    assert meter.source == "seconds times 8 W, stated"


def test_the_processors_own_count_is_preferred(tmp_path):
    rapl = tmp_path / "energy_uj"
    rapl.write_text("0")

    def work():
        rapl.write_text(str(int(rapl.read_text()) + 3))  # three microjoules each time

    meter = Meter(8.0, rapl, 0.002)
    assert meter.price(work, repeats=2).energy_j[1] == pytest.approx(3e-6)
    assert meter.source == "RAPL of the whole processor"
    rapl.write_text("not allowed")
    assert not meter.counts()


def test_many_arms_at_once_are_cheaper_each():
    learner = DeltaLearner(NetworkCfg(2, (0, 1), hidden=8, n_features=4), DeltaCfg(), torch.ones(2))
    meter = Meter(10.0, least_s=0.01)
    one, many = (processor_prices(learner, n, 20, meter) for n in (1, 64))
    assert many.step.seconds < one.step.seconds
    assert one.step.seconds < one.lesson.seconds


def test_the_chips_price_is_its_bill():
    """A step costs its products; a lesson at least the products of its 100 steps; together they are the whole bill."""
    arena = Arena(EvaluationCfg(ENV, chips=1, tasks=2, lessons=1), "in_range")
    prices = chip_prices(arena, load_shipped(shipped_path(ENV), ENV), n_steps=100)
    arena.close()
    low, nominal, high = prices.lesson.energy_j
    assert low < nominal < high  # pulses have a range
    assert prices.step.energy_j[0] == pytest.approx(prices.step.energy_j[2])  # products have none
    assert nominal > 100 * prices.step.energy_j[1]
    assert prices.step.seconds == pytest.approx(prices.step.energy_j[1] / 52.8e-9 * 521e-9, rel=1e-6)
