"""The inner loop by hand, the outer gradient against textbook MAML, and what answers may depend on."""

import math
from types import SimpleNamespace

import pytest
import torch

from agents.convnet import ConvNetCfg, Statistics
from agents.fewshot import few_shot_accuracy, load_published, task_inputs
from agents.maml import InnerCfg, MamlLearner, accuracy, adapt, labels, meta_loss, readout_increment
from agents.maml_plain import plain_meta_gradient

SMALL = ConvNetCfg(channels=6)


def learner(seeded, **inner):
    made = MamlLearner(SMALL, InnerCfg(**inner))
    made.net.draw(seeded(0))
    return made


def drawings(seeded, *shape, dtype=torch.float64):
    return torch.rand(*shape, 1, 28, 28, dtype=dtype, generator=seeded(2))


def test_one_step_by_hand():
    # Two ways, one drawing each, h = (1, 0) and (0, 2), W = 0: softmax says 1/2 of both. The mean over two drawings of
    # (y - 1/2) h is ((1/4, -1/2), (-1/4, 1/2)); times the rate .1 for five ways, that is .04 for two.
    step = readout_increment(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.eye(2), 0.1)
    torch.testing.assert_close(step, torch.tensor([[0.01, -0.02], [-0.01, 0.02]]))


def test_a_step_goes_down_the_gradient_of_the_mean_cross_entropy(seeded):
    inputs = torch.randn(3, 10, 7, dtype=torch.float64, generator=seeded(1))
    readout = torch.randn(3, 5, 7, dtype=torch.float64, generator=seeded(2), requires_grad=True)
    label = labels(5, 2).double()
    logits = inputs @ readout.transpose(-1, -2)
    loss = -(label * logits.log_softmax(-1)).sum(-1).mean(-1).sum()
    (gradient,) = torch.autograd.grad(loss, readout)
    torch.testing.assert_close(readout_increment(readout, inputs, label, 0.1), -0.1 * gradient)


def test_a_step_from_zero_pulls_as_hard_whatever_the_ways(seeded):
    # From zero, the own row moves by rate x (N / 5) x (1 / N) x (1 - 1 / N) h: 1 - 1 / N is all that N changes.
    for ways in (2, 5, 20):
        step = readout_increment(torch.zeros(ways, ways), torch.eye(ways), torch.eye(ways), 0.5)
        torch.testing.assert_close(step.diagonal(), torch.full((ways,), 0.1 * (1 - 1 / ways)))


def test_the_outer_gradient_is_that_of_textbook_maml(seeded):
    model = learner(seeded, steps=3, inner_rate=0.7).double()
    pictures = drawings(seeded, 4, 3, 5)
    given = Statistics(0.3 * torch.ones(4, 1, 6).double(), torch.linspace(0.1, 2, 24).double().reshape(4, 1, 6))
    meta_loss(model, pictures, 2, given=given).loss.backward()
    by_kernels, by_rates = plain_meta_gradient(model, pictures, 2, given)
    torch.testing.assert_close([kernel.grad for kernel in model.net.kernel], list(by_kernels))
    torch.testing.assert_close(model.rates.grad, by_rates)
    assert by_rates.abs().min() > 1e-6


def test_the_outer_gradient_goes_through_the_inner_steps(seeded):
    """The second-order part: without it, support drawings would give kernels no gradient of their own."""
    model = learner(seeded).double()
    pictures = drawings(seeded, 2, 3, 4)
    given = Statistics(torch.zeros(4, 1, 6).double(), torch.ones(4, 1, 6).double())
    pictures.requires_grad_()
    (gradient,) = torch.autograd.grad(meta_loss(model, pictures, 2, given=given).loss, pictures)
    assert gradient[:, :, :2].abs().max() > 0
    assert gradient[:, :, 2:].abs().max() > 0


def test_the_memory_sees_every_kernel_and_every_written_readout(seeded):
    model, seen = learner(seeded, steps=3), []
    meta_loss(model, drawings(seeded, 2, 4, 3, dtype=torch.float32), 1, lambda w: (seen.append(tuple(w.shape)), w)[1])
    assert seen == [(6, 1, 3, 3), *[(6, 6, 3, 3)] * 3, *[(2, 4, 6)] * 3]


def test_tied_answers_count_for_a_guess():
    label = labels(4, 1)
    assert accuracy(torch.zeros(4, 4), label) == pytest.approx(0.25)
    logits = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    assert accuracy(logits, label) == pytest.approx((0.5 + 1 + 0 + 1) / 4)


def episodes(seeded, ways=3, shots=2, queries=4, tasks=2):
    pictures = (255 * torch.rand(tasks, ways, shots + queries, 28, 28, generator=seeded(4))).byte().numpy()
    return SimpleNamespace(support=pictures[:, :, :shots], query=pictures[:, :, shots:])


@pytest.mark.parametrize(("norm", "looks"), [("running", False), ("support", False), ("transductive", True)])
def test_only_the_transductive_way_looks_at_other_queries(seeded, norm, looks):
    model, task = learner(seeded), episodes(seeded)
    support, query = torch.from_numpy(task.support), torch.from_numpy(task.query)
    first = task_inputs(model, support, query, norm).asked[:, 0]
    query[:, :, 1:] = 255 - query[:, :, 1:]
    second = task_inputs(model, support, query, norm).asked[:, 0]
    assert (not torch.equal(first, second)) == looks


def test_a_support_of_the_queries_themselves_is_learned(seeded):
    model, task = learner(seeded, steps=100, inner_rate=0.3), episodes(seeded, ways=4, shots=1)
    task.query = task.support
    found = few_shot_accuracy(model, task, "support")
    assert found.shape == (101, 2)
    torch.testing.assert_close(found[0], torch.full((2,), 1 / 4))
    assert found[-1].min() == 1


def test_an_unknown_norm_is_refused(seeded):
    with pytest.raises(ValueError, match="unknown norm 'batch'; choose from"):
        few_shot_accuracy(learner(seeded), episodes(seeded), "batch")  # type: ignore[arg-type]


@pytest.mark.parametrize(("changes", "said"), [({"steps": 0}, "got 0"), ({"inner_rate": math.nan}, "got nan")])
def test_an_inner_loop_that_cannot_learn_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        InnerCfg(**changes)


def test_readouts_adapt_step_by_step(seeded):
    inputs = torch.randn(2, 6, 5, generator=seeded(1))
    label, rates = labels(3, 2), torch.tensor([0.3, 0.1])
    first, second, third = adapt(torch.zeros(2, 3, 5), inputs, label, rates)
    torch.testing.assert_close(second, first + readout_increment(first, inputs, label, 0.3))
    torch.testing.assert_close(third, second + readout_increment(second, inputs, label, 0.1))


class TestPublished:
    def arrays(self, **changes):
        import numpy as np

        rng = np.random.default_rng(0)
        sizes = {"kernel1": (3, 3, 1, 4), **{f"kernel{k}": (3, 3, 4, 4) for k in (2, 3, 4)}, "readout": (4, 5)}
        return {name: rng.normal(size=size).astype("f4") for name, size in (sizes | changes).items()}

    def test_kernels_are_turned_from_theirs_to_torchs_order(self, tmp_path):
        import numpy as np

        arrays = self.arrays()
        np.savez(tmp_path / "weights.npz", **arrays)
        found = load_published(tmp_path / "weights.npz")
        assert found.learner.net.kernel[1][3, 2, 0, 1] == arrays["kernel2"][0, 1, 2, 3]
        assert found.start[4, 1] == arrays["readout"][1, 4]
        assert found.learner.rates.tolist() == pytest.approx([0.1] * 4)

    @pytest.mark.parametrize("changes", [{"kernel2": (3, 3, 4, 5)}, {"readout": (3, 5)}, {"kernel1": (3, 3)}])
    def test_other_shapes_are_refused(self, tmp_path, changes):
        import numpy as np

        np.savez(tmp_path / "weights.npz", **self.arrays(**changes))
        with pytest.raises(ValueError, match=r"weights\.npz"):
            load_published(tmp_path / "weights.npz")

    def test_a_damaged_file_is_refused(self, tmp_path):
        (tmp_path / "weights.npz").write_bytes(b"text")
        with pytest.raises(ValueError, match="damaged or holds no published weights"):
            load_published(tmp_path / "weights.npz")
