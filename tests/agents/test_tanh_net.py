"""A network of tanh layers: its hand-made gradients are autograd's, and its noise is what it says."""

import torch

from agents.baselines.tanh_net import (
    Pass,
    forward,
    increments,
    initialise_tables,
    layer_tables,
    noisy,
    pushes,
    read_noise,
)


def tables_of(seeded, n_tasks=3, sizes=(4, 6, 5, 2)):
    """Return tables of each task's own, (n_tasks, out, in + 1)."""
    shapes = zip(sizes[1:], sizes[:-1], strict=True)
    drawn = [torch.randn(n_tasks, out, n + 1, generator=seeded(n)) for out, n in shapes]
    return [table.double().requires_grad_() for table in drawn]


def test_one_neuron_by_hand():
    # x = 2; hidden tanh(.5 x - .3) = tanh .7 = .604368; output 2 h + .1 = 1.308736
    tables = [torch.tensor([[0.5, -0.3]]), torch.tensor([[2.0, 0.1]])]
    passed = forward(tables, torch.tensor([[2.0]]))
    torch.testing.assert_close(passed.output, torch.tensor([[1.308736]]))
    # an error of 1 pushes the hidden sum by 2 (1 - h2) = 2 x .634740 = 1.269480, the input's weight by twice that
    pushed = pushes(tables, passed.inputs, torch.tensor([[1.0]]))
    torch.testing.assert_close(pushed[1], torch.tensor([[1.269479]]), atol=1e-5, rtol=0)
    grown = increments(pushed, passed.inputs)
    torch.testing.assert_close(grown[0], torch.tensor([[2.538958, 1.269479]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(grown[1], torch.tensor([[0.604368, 1.0]]), atol=1e-5, rtol=0)


def test_increments_are_the_negative_gradients_of_each_task(seeded):
    tables = tables_of(seeded)
    x, target = (torch.randn(3, 7, n, generator=seeded(9)).double() for n in (4, 2))
    passed = forward(tables, x)
    loss = 0.5 * (target - passed.output).square().sum(-1).mean(-1).sum()
    wanted = torch.autograd.grad(loss, tables)
    found = increments(pushes(tables, passed.inputs, target - passed.output), passed.inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, -other)


def test_the_outer_loop_differentiates_through_an_increment(seeded):
    tables = tables_of(seeded, n_tasks=1)
    x = torch.randn(1, 5, 4, generator=seeded(9)).double()

    def after(first):
        own = [first, *tables[1:]]
        passed = forward(own, x)
        grown = increments(pushes(own, passed.inputs, 1.0 - passed.output), passed.inputs)
        return forward([t + 0.1 * g for t, g in zip(own, grown, strict=True)], x).output

    assert torch.autograd.gradcheck(after, (tables[0],))


def test_noise_has_the_range_of_its_line_over_all_tasks(seeded):
    tables = [torch.tensor([[[1.0, -4.0]], [[2.0, 0.0]]]).expand(2, 1, 2).repeat(4000, 1, 1)]
    drawn = noisy(tables, 0.1, seeded())[0] - tables[0]
    assert abs(drawn.std() - 0.4) < 0.01
    assert noisy(tables, 0.0, seeded())[0] is tables[0]


def test_read_noise_spares_the_constant(seeded):
    tables = [table.detach().float() for table in tables_of(seeded)]
    passed = forward(tables, torch.randn(3, 7, 4, generator=seeded(1)))
    noised = read_noise(passed, tables, 0.1, seeded(2))
    assert isinstance(noised, Pass)
    assert torch.equal(noised.inputs[-1][..., -1], passed.inputs[-1][..., -1])
    assert not torch.equal(noised.inputs[-1][..., :-1], passed.inputs[-1][..., :-1])
    torch.testing.assert_close(noised.output, noised.inputs[-1] @ tables[-1].mT)


def test_tables_start_without_biases(seeded):
    tables = layer_tables((4, 6, 2))
    initialise_tables(tables, seeded())
    assert [tuple(table.shape) for table in tables] == [(6, 5), (2, 7)]
    assert all((table[:, -1] == 0).all() and table[:, :-1].abs().max() > 0 for table in tables)
