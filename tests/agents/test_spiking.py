"""Spiking networks: neurons worked out by hand, the compiled loops and the adjoint against automatic gradients."""

import math

import pytest
import torch

from agents import native
from agents.eprop_plain import plain_run
from agents.spiking import SMOOTH, STEP, NeuronCfg, run_neurons
from agents.sums import filtered, spike_product

LIF = NeuronCfg(n=30, threshold=0.6)
ALIF = NeuronCfg(n=30, threshold=0.6, n_adaptive=11)


@pytest.fixture(params=["compiled", "torch"])
def loops(request, monkeypatch):
    """Run a test with the compiled loops and without them."""
    if request.param == "torch":
        monkeypatch.setattr(native, "kernels", lambda: None)
    elif native.kernels() is None:
        pytest.skip("no C++ compiler here")


def test_one_neuron_by_hand(loops):
    # threshold 1, decay g = exp(-1 / 20), 0.7 in at each step: v = 0.7, 0.7 g + 0.7 = 1.366 (spike), then
    # 1.366 g + 0.7 - 1 = 0.999 (blocked until 5 steps after the spike), so the next spike is at step 1 + 5 = 6.
    cfg = NeuronCfg(n=1, threshold=1.0)
    z, slope = run_neurons(torch.full((8, 1, 1, 1), 0.7), torch.zeros(1, 1, 1), cfg)
    assert z.flatten().tolist() == [0, 1, 0, 0, 0, 0, 1, 0]
    g = math.exp(-1 / 20)
    h = [0.3 * (1 - 0.3), 0.3 * (1 - (0.7 * g + 0.7 - 1)), 0, 0, 0, 0]
    assert slope.flatten().tolist()[:6] == pytest.approx(h, rel=1e-5)


def test_an_adaptive_neuron_raises_its_threshold(loops):
    # threshold 1, beta 1.6, no refractory time. A jump to 1.5 spikes; then the adaptation is 1, the threshold 2.6.
    cfg = NeuronCfg(n=1, threshold=1.0, n_adaptive=1, refractory_steps=0)
    current = torch.tensor([1.5, 0.0, 4.6, 0.0]).view(4, 1, 1, 1)
    z, slope = run_neurons(current, torch.zeros(1, 1, 1), cfg)
    g, rho = math.exp(-1 / 20), math.exp(-1 / 600)
    v1 = 1.5 * g - 2.6
    v2 = g * v1 + 4.6
    assert v2 > 1 + 1.6 * rho
    assert z.flatten().tolist() == [1, 0, 1, 0]
    distance = v2 - (1 + 1.6 * rho)
    assert slope.flatten()[2].item() == pytest.approx(0.3 * (1 - distance), rel=1e-4)


def test_a_spike_acts_one_step_later(loops):
    cfg = NeuronCfg(n=2, threshold=1.0)
    w = torch.tensor([[[0.0, 0.4], [0.0, 0.0]]])
    current = torch.zeros(3, 1, 1, 2)
    current[0, ..., 0] = 1.5
    _, slope = run_neurons(current, w, cfg)
    # the second neuron's potential is 0, then 0.4, then 0.4 g
    assert slope[:, 0, 0, 1].tolist() == pytest.approx([0.0, 0.3 * 0.4, 0.3 * 0.4 * math.exp(-1 / 20)], rel=1e-5)


@pytest.mark.parametrize("cfg", [LIF, ALIF])
@pytest.mark.parametrize(("groups", "sequences"), [(1, 4), (4, 1), (2, 3)])
def test_spikes_and_gradients_are_those_of_the_plain_network(loops, cfg, groups, sequences):
    generator = torch.Generator().manual_seed(1)
    current = (0.12 * torch.rand(60, groups, sequences, cfg.n, generator=generator)).requires_grad_()
    w_rec = (torch.randn(groups, cfg.n, cfg.n, generator=generator) * 0.3).requires_grad_()
    weigh = torch.randn(2, *current.shape, generator=generator)
    z, slope = run_neurons(current, w_rec, cfg)
    fast = torch.autograd.grad((weigh[0] * z).sum() + (weigh[1] * slope).sum(), (current, w_rec))
    eye = torch.eye(cfg.n).expand(groups * sequences, -1, -1)
    plain_z, plain_slope = plain_run(current.flatten(1, 2), eye, w_rec.repeat_interleave(sequences, 0), cfg)
    total = (weigh[0].flatten(1, 2) * plain_z).sum() + (weigh[1].flatten(1, 2) * plain_slope).sum()
    slow = torch.autograd.grad(total, (current, w_rec))
    assert z.sum() > 50
    assert (z.flatten(1, 2) == plain_z).all()
    torch.testing.assert_close(slope.flatten(1, 2), plain_slope, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(fast, slow, strict=True):
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()


@pytest.mark.parametrize("only", [0, 1])
def test_gradients_of_one_output_alone(loops, only):
    generator = torch.Generator().manual_seed(2)
    current = (0.12 * torch.rand(40, 3, 1, 30, generator=generator)).requires_grad_()
    w_rec = (torch.randn(3, 30, 30, generator=generator) * 0.3).requires_grad_()
    fast = torch.autograd.grad(run_neurons(current, w_rec, LIF)[only].square().sum(), w_rec)[0]
    plain = plain_run(current.squeeze(2), torch.eye(30).expand(3, -1, -1), w_rec, LIF)[only].square().sum()
    assert (fast - torch.autograd.grad(plain, w_rec)[0]).norm() < 1e-4 * fast.norm()


def test_products_in_bfloat16_give_nearly_the_same_gradients(loops):
    generator = torch.Generator().manual_seed(1)
    current = (0.12 * torch.rand(60, 1, 8, 30, generator=generator)).requires_grad_()
    w_rec = (torch.randn(1, 30, 30, generator=generator) * 0.3).requires_grad_()
    exact, coarse = (
        torch.autograd.grad(run_neurons(current, w_rec, ALIF, coarse=coarse)[0].sum(), w_rec)[0]
        for coarse in (False, True)
    )
    assert 0 < (exact - coarse).norm() < 0.03 * exact.norm()


def test_graded_activity_has_exact_gradients():
    cfg = NeuronCfg(n=4, threshold=0.6, n_adaptive=2, refractory_steps=0)
    generator = torch.Generator().manual_seed(0)
    current = torch.randn(6, 2, 2, 4, generator=generator, dtype=torch.float64).requires_grad_()
    w_rec = torch.randn(2, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, w: run_neurons(c, w, cfg, SMOOTH), (current, w_rec))


def test_sums_are_those_of_matrices(loops):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, 5, generator=generator, requires_grad=True)
    lag = torch.arange(7)[:, None] - torch.arange(7)
    leak = torch.where(lag >= 0, 0.9 ** lag.clamp(min=0), 0.0)
    torch.testing.assert_close(filtered(x, 0.9), torch.einsum("ts,s...->t...", leak, x))
    weigh = torch.randn(7, 3, 5, generator=generator)
    grad = torch.autograd.grad((filtered(x, 0.9) * weigh).sum(), x)[0]
    torch.testing.assert_close(grad, torch.einsum("ts,t...->s...", leak, weigh))
    z = (torch.rand(7, 3, 40, generator=generator) < 0.2).float().requires_grad_()
    w = torch.randn(40, 5, generator=generator, requires_grad=True)
    torch.testing.assert_close(spike_product(z, w, binary=True), z @ w)
    ours = torch.autograd.grad((spike_product(z, w, binary=True) * weigh).sum(), (z, w))
    theirs = torch.autograd.grad(((z @ w) * weigh).sum(), (z, w))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_more_threads_give_the_same_numbers():
    if native.kernels() is None:
        pytest.skip("no C++ compiler here")
    current = 0.12 * torch.rand(60, 1, 5, 30, generator=torch.Generator().manual_seed(3))
    w_rec = torch.randn(1, 30, 30, generator=torch.Generator().manual_seed(4)) * 0.3
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(run_neurons(current, w_rec, LIF)[0])
    finally:
        torch.set_num_threads(before)
    assert (results[0] == results[1]).all()
    assert STEP.sparse
