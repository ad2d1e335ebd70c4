"""What cannot be is refused in words that name the bad value and the good ones, never by an error from inside."""

# pyright: reportArgumentType=false

import pytest
import torch
from torch import nn

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, FaultCfg, UpdateCfg, deploy

W = torch.tensor([[1.0, -0.5], [0.25, 0.75]])


def _chips(weights=W, cfg=None, n_chips=2, generator=None, **other):
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return Crossbar(weights, cfg, n_chips=n_chips, generator=generator, **other)


def _load(change):
    state = _chips().state_dict()
    change(state)
    _chips().load_state_dict(state)


def _network(**other):
    return deploy(nn.Sequential(nn.Linear(3, 4)), n_chips=2, generator=torch.Generator(), **other)


WRONG = {
    "chips that are no whole number": (
        lambda: _chips(n_chips=2.5),
        "n_chips must be a whole number, 1 or more, got 2.5",
    ),
    "no chips": (lambda: _chips(n_chips=0), "n_chips must be a whole number, 1 or more, got 0"),
    "weights in a list": (lambda: _chips(W.tolist()), "weights must be a torch.Tensor, got a list"),
    "bias in a list": (lambda: _chips(bias=[0.0, 1.0]), "bias must be a torch.Tensor, got a list"),
    "one row too few": (lambda: _chips(W[0]), r"\(out, in\) or \(2, out, in\), got \(2,\)"),
    "weights that are no numbers": (lambda: _chips(W * torch.nan), "finite, got NaN"),
    "a column of zeros": (
        lambda: _chips(W * torch.tensor([[1.0], [0.0]])),
        r"lines \[1\] hold only zeros: give w_range",
    ),
    "a seed for a generator": (lambda: _chips(generator=7), "generator must be a Generator, got a int: 7"),
    "a name for a configuration": (lambda: _chips(cfg="hermes_2"), "cfg must be a CrossbarCfg, got a str: 'hermes_2'"),
    "unknown device": (lambda: CrossbarCfg(device="hermes"), r"'hermes'; choose from \['hermes_1'"),
    "a range in a string": (lambda: CrossbarCfg(w_range="1"), r"w_range must be positive.*got \['1'\]"),
    "ranges in a list": (lambda: CrossbarCfg(w_range=[1.0]), "w_range must be positive.*tuple"),
    "two ranges of inputs": (lambda: CrossbarCfg(in_range=(1.0, 2.0)), r"in_range must be positive.*got \(1.0, 2.0\)"),
    "headroom in a string": (lambda: CrossbarCfg(headroom="2"), "headroom must be 1 or more, got '2'"),
    "a name for a periphery": (lambda: CrossbarCfg(periphery="hermes"), "periphery must be a PeripheryCfg, got a str"),
    "a name for updates": (lambda: CrossbarCfg(updates="blind"), "updates must be a UpdateCfg, got a str: 'blind'"),
    "faults in a dict": (lambda: CrossbarCfg(faults={}), "faults must be a FaultCfg, got a dict"),
    "more dead rows than rows": (lambda: _chips(cfg=CrossbarCfg(faults=FaultCfg(dead_rows=3))), "at most 2.*got 3"),
    "unknown method": (lambda: UpdateCfg(method="hope"), r"unknown method 'hope'; choose from \['verify'"),
    "inputs in a list": (lambda: _chips()([[1.0]]), "x must be a torch.Tensor, got a list"),
    "inputs of other size": (lambda: _chips()(torch.ones(2, 1, 3)), r"\(2, batch, 2\), got \(2, 1, 3\)"),
    "inputs that are no numbers": (lambda: _chips()(torch.full((2, 1, 2), torch.nan)), "finite, got NaN"),
    "increments in a list": (lambda: _chips().write([[0.0]]), "delta must be a torch.Tensor, got a list"),
    "increments of other shape": (lambda: _chips().write(torch.ones(3, 2)), r"\(2, 2\), got \(3, 2\)"),
    "increments that are no numbers": (lambda: _chips().write(W * torch.inf), "delta must be finite"),
    "a mask in a list": (lambda: _chips().write(W, mask=[True]), "mask must be a torch.Tensor, got a list"),
    "unknown base": (lambda: _chips().write(W, base="hope"), r"unknown base 'hope'; choose from \['read', 'target'\]"),
    "time in words": (lambda: _chips().advance("1 h"), "seconds must be zero or more and finite, got '1 h'"),
    "negative time": (lambda: _chips().advance(-1.0), "seconds must be zero or more and finite, got -1.0"),
    "two times": (lambda: _chips().advance(torch.ones(2)), "seconds must be zero or more"),
    "half a copy": (lambda: _chips().copies(1.5), "n_copies must be a whole number, 1 or more, got 1.5"),
    "no state": (lambda: _chips().load_state_dict(None), "state must be a dict, got a NoneType"),
    "a state of another version": (lambda: _load(lambda s: s.update(version=1)), "version 1, this crossbar"),
    "a state without its clock": (lambda: _load(lambda s: s.pop("clock")), r"lacks \['clock'\]"),
    "a clock of other chips": (
        lambda: _load(lambda s: s["clock"].update(now_s=torch.zeros(7))),
        r"clocks of shape \{'now_s': \(7,\)",
    ),
    "a ledger of other chips": (
        lambda: _load(lambda s: s["ledger"]["counts"].update(devices=torch.zeros(7))),
        r"a ledger of shape .*'devices': \(7,\)",
    ),
    "factors of other lines": (
        lambda: _load(lambda s: s["compensation"].update(factor=torch.zeros(7))),
        r"factors of shape .*\(7,\)",
    ),
    "line sums that are not there": (lambda: _load(lambda s: s["sums"].pop("sums")), "line sums of shape"),
    "moments that nobody kept": (
        lambda: _load(lambda s: s["pairs"].update(epoch=torch.full_like(s["pairs"]["g_us"], 9.0).int())),
        "moments 0 to 0, and a device of another one",
    ),
    "a state of other devices": (
        lambda: _chips(cfg=CrossbarCfg(slices=2)).load_state_dict(_chips().state_dict()),
        r"\(2, 1, 2, 1\), this crossbar \(2, 2, 2, 1\)",
    ),
    "a module that is a tensor": (
        lambda: deploy(W, n_chips=2, generator=torch.Generator()),
        "module must be a Module, got a Tensor",
    ),
    "calibration of other size": (
        lambda: _network(calibration=torch.ones(5, 2)),
        "a matrix of 3 inputs by vectors of 2",
    ),
    "layers that are not there": (
        lambda: _network(layers={"1": CrossbarCfg()}),
        r"layers \['1'\]; choose from \['0'\]",
    ),
    "a module without layers": (
        lambda: deploy(nn.ReLU(), n_chips=2, generator=torch.Generator()),
        "ReLU has none of the layers that a chip holds: nn.Linear",
    ),
}


@pytest.mark.parametrize(("act", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_named(act, words):
    with pytest.raises(ValueError, match=words):
        act()


@pytest.mark.parametrize("name", sorted(DEVICES))
@pytest.mark.parametrize("target_us", [-0.1, 30.0, float("nan")])
def test_no_device_is_programmed_out_of_its_range(name, target_us, seeded):
    with pytest.raises(ValueError, match="g_target_us must lie in 0 to"):
        DEVICES[name].program(torch.tensor([1.0, target_us]), seeded())
