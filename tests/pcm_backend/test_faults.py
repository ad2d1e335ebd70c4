"""Who is broken, what that leaves of a range, and who is to blame for a miss."""

import pytest
import torch

from pcm_backend.faults import (
    KINDS,
    FaultCfg,
    Faults,
    endurances,
    limits_us,
    obstacles,
    smallest,
    stuck_codes,
    stuck_shape,
    with_dead_lines,
    worn,
)

SET, RESET, ROW, COLUMN, WORN = range(1, 6)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"stuck_set": 1.5}, "stuck_set"),
        ({"stuck_set": 0.6, "stuck_reset": 0.6}, "1.2"),
        ({"sticks": "chip"}, "conductance"),
        ({"dead_rows": -1}, "dead_rows"),
        ({"endurance": 0.0}, "endurance"),
        ({"endurance_spread": float("nan")}, "endurance_spread"),
    ],
)
def test_wrong_values_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        FaultCfg(**options)


def test_a_healthy_configuration_says_so():
    assert not FaultCfg().any
    assert all(one.any for one in (FaultCfg(stuck_set=0.1), FaultCfg(dead_columns=1), FaultCfg(endurance=1e6)))


def test_stuck_by_hand():
    code = stuck_codes(FaultCfg(stuck_set=0.25, stuck_reset=0.5), torch.tensor([0.0, 0.24, 0.26, 0.74, 0.76]))
    assert code.tolist() == [SET, SET, RESET, RESET, 0]


@pytest.mark.parametrize(("sticks", "shape"), [("device", (2, 1, 2)), ("conductance", (1, 1, 2)), ("cell", (1, 1, 1))])
def test_what_sticks_together(sticks, shape):
    assert stuck_shape(FaultCfg(sticks=sticks), 2, (1, 2, 5, 7)) == (*shape, 5, 7)


def test_shares_are_kept(seeded):
    code = stuck_codes(FaultCfg(stuck_set=0.01, stuck_reset=0.03), torch.rand(400_000, generator=seeded()))
    shares = [float((code == kind).float().mean()) for kind in (SET, RESET)]
    assert shares == pytest.approx([0.01, 0.03], rel=0.06)  # four standard errors of the rarer: 6 %


def test_exactly_so_many_lines_die(seeded):
    dead = smallest(torch.rand(5, 9, generator=seeded()), 3, "dead_rows")
    assert dead.sum(1).tolist() == [3] * 5
    assert smallest(torch.tensor([[0.4, 0.1, 0.3]]), 2, "dead_rows").tolist() == [[False, True, True]]
    with pytest.raises(ValueError, match=r"dead_rows must be at most 9.*10"):
        smallest(torch.rand(5, 9), 10, "dead_rows")


def test_a_dead_line_beats_a_stuck_device():
    code = torch.full((2, 1, 1, 2, 2, 3), SET, dtype=torch.uint8)
    rows, columns = torch.tensor([[False, True, False]]), torch.tensor([[[True, False]]])
    code = with_dead_lines(code, rows, columns)
    assert code[0, 0, 0, 0].tolist() == [[COLUMN, ROW, COLUMN], [SET, ROW, SET]]
    assert code.dtype == torch.uint8


def test_limits_by_hand():
    """Two devices of 10 uS each: healthy, one or both stuck SET, one or both silent, one of each."""
    pairs = [(0, 0), (SET, 0), (SET, SET), (0, RESET), (ROW, COLUMN), (SET, WORN)]
    low, high = limits_us(torch.tensor(pairs, dtype=torch.uint8).T, 20.0)
    assert low.tolist() == [0.0, 10.0, 20.0, 0.0, 0.0, 10.0]
    assert high.tolist() == [20.0, 20.0, 20.0, 10.0, 0.0, 10.0]


def test_who_is_to_blame():
    """A target that is too low blames the device stuck SET, one that is too high the silent ones."""
    code = torch.tensor([[SET], [RESET]], dtype=torch.uint8)  # two devices of one conductance
    blamed = {}
    for wanted in (5.0, 10.0, 15.0):
        found = obstacles(code, torch.tensor([wanted]), torch.tensor([10.0]), 1.0).flatten(1).sum(1)
        blamed[wanted] = dict(zip(KINDS, found.tolist(), strict=True))
    nobody = dict.fromkeys(KINDS, 0)
    assert blamed == {5.0: nobody | {"stuck_set": 1}, 10.0: nobody, 15.0: nobody | {"stuck_reset": 1}}


def test_wear_by_hand():
    """Pulses 3 and 3 against endurances 5 and 10: the second write kills the first device, half is left."""
    faults = Faults(torch.zeros(2, 1, dtype=torch.uint8), torch.zeros(1), torch.tensor([[5.0], [10.0]]))
    shares = []
    for _ in range(4):
        faults, left = worn(faults, torch.full((1,), 3.0))
        shares.append(float(left))
    assert shares == [1.0, 0.5, 1.0, 0.0]  # at 12 pulses the second goes too
    assert faults.code.flatten().tolist() == [WORN, WORN]
    _, left = worn(faults, torch.full((1,), 3.0))
    assert float(left) == 1.0  # nothing is left to lose


def test_endurance_is_log_normal(seeded):
    drawn = endurances(FaultCfg(endurance=1e6, endurance_spread=0.4), torch.randn(100_000, generator=seeded()))
    assert float(drawn.median()) == pytest.approx(1e6, rel=0.01)
    assert float(drawn.log().std()) == pytest.approx(0.4, rel=0.01)
