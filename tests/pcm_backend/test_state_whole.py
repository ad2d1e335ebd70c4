"""A state is taken up whole or not at all: whatever is wrong in it, wherever it stands, nothing has changed."""

import copy

import pytest
import torch
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, CrossbarSpiking, FaultCfg, Ledger, PeripheryCfg, UpdateCfg, deploy

W = torch.tensor([[1.0, -0.5, 0.0], [0.25, 0.75, -1.0]])


def chips(seed=0, **cfg):
    return Crossbar(W, CrossbarCfg(**cfg), n_chips=2, generator=torch.Generator().manual_seed(seed))


def network(seed=0):
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return deploy(module, n_chips=2, generator=torch.Generator().manual_seed(seed))


KINDS = {
    "crossbar": chips,
    "frozen reads": lambda seed: chips(seed, read_noise="frozen"),
    "broken devices": lambda seed: chips(seed, faults=FaultCfg(stuck_set=0.1, endurance=1e3)),
    "converters that err": lambda seed: chips(seed, periphery=PeripheryCfg.hermes()),
    "digital memory": lambda seed: chips(seed, updates=UpdateCfg(method="mixed")),
    "by the pulse": lambda seed: chips(seed, device="hermes_1_pulses"),
    "spiking": lambda seed: CrossbarSpiking(chips(seed), 1),
    "network": network,
}


def leaves(state, path=()):
    """Return the path of every entry that is no mapping."""
    if not isinstance(state, dict):
        return [path]
    return [each for name, value in state.items() for each in leaves(value, (*path, name))]


def entry(state, path):
    for name in path:
        state = state[name]
    return state


def same(one, other):
    paths = leaves(one)
    assert paths == leaves(other)
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in ((entry(one, path), entry(other, path)) for path in paths)
    )


def missing(holder, name):
    del holder[name]


def nothing(holder, name):
    holder[name] = None


def larger(holder, name):
    value = holder[name]
    holder[name] = torch.zeros(7, 7, 7) if isinstance(value, torch.Tensor) else "none of these"


@pytest.mark.parametrize("spoil", [missing, nothing, larger])
@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_entry_anywhere_is_refused_and_changes_nothing(kind, spoil):
    mine, theirs = KINDS[kind](0), KINDS[kind](1)
    theirs.advance(60.0)
    before, state = copy.deepcopy(mine.state_dict()), theirs.state_dict()
    assert not same(before, state)
    for path in leaves(state):
        bad = copy.deepcopy(state)
        spoil(entry(bad, path[:-1]), path[-1])
        if path[-1] in ("epoch", "targets") and spoil is not larger:
            continue  # these may be left out
        with pytest.raises(ValueError, match=r"state|must"):
            mine.load_state_dict(bad)
        assert same(before, mine.state_dict()), path
    mine.load_state_dict(state)
    assert same(state, mine.state_dict())


def test_a_ledger_keeps_its_counts_where_digital_work_does_not_fit():
    mine, theirs = Ledger(2), Ledger(2)
    theirs.book("products_1_phase", 3.0)
    theirs.digital("sums", 5.0)
    state = theirs.state_dict()
    state["digital"]["sums"] = torch.zeros(7)
    with pytest.raises(ValueError, match="digital work"):
        mine.load_state_dict(state)
    assert not mine.products.any()
