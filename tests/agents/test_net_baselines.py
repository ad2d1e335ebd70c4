"""CAVIA and full-weight MAML: steps are gradients, outer loops learn through them, ideal chips are software."""

import contextlib

import numpy as np
import pytest
import torch

from agents.baselines import cavia, maml_full
from agents.baselines.cavia import CaviaCfg, CaviaLearner, CaviaPolicy, context_step, joined
from agents.baselines.maml_full import MamlCfg, MamlLearner, MamlPolicy, layer_steps
from agents.baselines.net_chip import ChipNet, SoftwareNet, deploy_net
from agents.baselines.tanh_net import forward
from agents.chip import ChipCfg
from agents.episodes import make_arms, run_trial
from agents.meta_train import MetaTrainCfg, MetaTrainer
from agents.metering import Metered
from agents.methods import PLAIN, PLAIN_RATES, cavia_method, maml_method
from agents.network import NetworkCfg
from tests.helpers import PLANAR

CHIPS, TASKS = 2, 3
NETWORK = NetworkCfg(2, (0, 1), 10, 7)
SMALL = {"bodies": 8, "episodes": 3, "steps": 60, "batch": 8, "hidden": 16, "features": 9, "threads": 1}
EXACT = ChipCfg(memory="ideal", bits=0, read_noise="off")


@pytest.fixture
def learners(seeded):
    """An untrained learner of each kind."""
    made = {
        "cavia": CaviaLearner(NETWORK, CaviaCfg(contexts=4), torch.ones(2)),
        "maml": MamlLearner(NETWORK, MamlCfg(), torch.ones(2)),
    }
    for learner in made.values():
        learner.draw(seeded(1))
        learner.requires_grad_(False)
    return made


def episode_of(seeded, n_arms, n_inputs=NETWORK.n_inputs):
    """Return inputs, and commands whose errors stay within the clip."""
    return [0.4 * torch.randn(n_arms, 20, n, generator=seeded(n)) for n in (n_inputs, 2)]


def test_a_context_step_is_a_step_down_the_hindsight_loss(learners, seeded):
    learner, (x, target) = learners["cavia"], episode_of(seeded, 3)
    context = torch.randn(3, 4, generator=seeded(5)).requires_grad_()
    said = forward(list(learner.tables), joined(x, context))
    loss = 0.5 * (target - said.output).square().sum(-1).mean(-1).sum()
    (gradient,) = torch.autograd.grad(loss, context)
    moved = context_step(learner, context, said.inputs, said.output, target)
    torch.testing.assert_close(moved - context, -learner.rate * gradient)


def test_layer_steps_are_steps_down_the_hindsight_loss(learners, seeded):
    learner, (x, target) = learners["maml"], episode_of(seeded, 3)
    tables = [table.expand(3, -1, -1).clone().requires_grad_() for table in learner.tables]
    said = forward(tables, x)
    loss = 0.5 * (target - said.output).square().sum(-1).mean(-1).sum()
    gradients = torch.autograd.grad(loss, tables)
    learner.log_rate.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
    steps = layer_steps(learner, tables, said.inputs, said.output, target)
    for number, (step, gradient) in enumerate(zip(steps, gradients, strict=True)):
        torch.testing.assert_close(step, -0.05 * np.exp(number) * gradient, atol=1e-6, rtol=1e-4)


def run_policy(kind, learner, substrate, n_chips, tasks):
    """Return the actions of three episodes, (K x T, 3, steps, J), and the meter."""
    env = make_arms(PLANAR, n_chips * TASKS, nthread=1)
    policy = kind(learner, substrate, env.unwrapped.arm_cfg, n_chips * TASKS)
    meter = Metered(policy, substrate)
    episodes, _ = run_trial(env, meter, tasks * n_chips, [*range(TASKS)] * n_chips, 3)
    env.close()
    return np.stack([episode.action for episode in episodes], axis=1), meter


@pytest.fixture(scope="module")
def trained():
    """A run of each kind after a round of many steps on few bodies, and its predicted errors before and after."""
    found = {}
    for name, method in (("cavia", cavia_method(CaviaCfg())), ("maml", maml_method(MamlCfg()))):
        env = make_arms(PLANAR, SMALL["bodies"], nthread=1)
        tasks = lambda n, seed, env=env: env.unwrapped.sample_tasks(n, split="train", seed=seed)  # noqa: E731
        run = MetaTrainer(MetaTrainCfg(**SMALL, rounds=1, warm_rounds=1, rate=1e-2), env, tasks, method)
        step, errors = run._step, []
        run._step = lambda *inputs, step=step, errors=errors: (errors.append(step(*inputs)), errors[-1])[1]
        run.run_round()
        found[name] = (run, torch.stack(errors).numpy())
        env.close()
    return found


@pytest.mark.parametrize("name", ["cavia", "maml"])
def test_a_round_teaches_learning(trained, name):
    _, errors = trained[name]  # (steps, episodes)
    first, last = errors[:2].mean(0), errors[-4:].mean(0)
    assert last[-1] < 0.6 * first[-1]
    assert last[-1] < 0.9 * last[0]  # adaptation helps


@pytest.mark.parametrize(("name", "kind", "own"), [("cavia", CaviaPolicy, False), ("maml", MamlPolicy, True)])
def test_an_ideal_chip_is_software(trained, name, kind, own):
    run, _ = trained[name]
    learner = run.learner.requires_grad_(False)
    wide = {n: 20 * v if n.startswith("weights") else v for n, v in run.calibration.items()}
    with contextlib.closing(make_arms(PLANAR, 1, nthread=1)) as env:
        tasks = env.unwrapped.sample_tasks(TASKS, seed=1002)
    soft, _ = run_policy(kind, learner, SoftwareNet(learner.tables, TASKS), 1, tasks)
    chip = deploy_net(list(learner.tables), wide, EXACT, CHIPS, TASKS, 0, own=own)
    hard, meter = run_policy(kind, learner, chip, CHIPS, tasks)
    hard = hard.reshape(CHIPS, *soft.shape)
    assert len(meter.lessons) == 2
    written = meter.lessons[0].devices
    assert (written > 0).all() if own else (written == 0).all()
    assert np.abs(hard[:, :, 0, :20] - soft[:, 0, :20]).max() < 1e-4
    assert np.abs(hard[:, :, 1:, :5] - soft[:, 1:, :5]).max() < 2e-3  # after lessons; closed loops part slowly


def test_shared_layers_refuse_writes(learners, seeded):
    calibration = {"inputs": 2 * torch.rand(50, NETWORK.n_inputs, generator=seeded()) - 1}
    tables = list(learners["maml"].tables)
    chip = deploy_net(tables, calibration, ChipCfg(), CHIPS, TASKS, 0, own=False)
    assert isinstance(chip, ChipNet)
    with pytest.raises(ValueError, match="share its layers"):
        chip.write([torch.zeros(CHIPS * TASKS, *table.shape) for table in tables])


@pytest.mark.parametrize(("module", "kind"), [(cavia, "cavia"), (maml_full, "maml")])
def test_test_bodies_are_refused(module, kind, trained):
    run, _ = trained[kind]
    held_out = lambda n, seed: run.env.unwrapped.sample_tasks(n, split="test", seed=seed)  # noqa: E731
    other = MetaTrainer(MetaTrainCfg(**SMALL), run.env, held_out, run.method)
    with pytest.raises(ValueError, match="belongs to split 'test', not 'train'"):
        other.run_round()


@pytest.mark.parametrize("name", ["cavia", "maml"])
def test_a_resumed_run_goes_on_bit_for_bit(name, tmp_path):
    method = cavia_method(CaviaCfg()) if name == "cavia" else maml_method(MamlCfg())
    settings = SMALL | {"bodies": 4, "batch": 4, "episodes": 2, "steps": 2, "rounds": 2, "warm_rounds": 1}
    env = make_arms(PLANAR, 4, nthread=1)
    tasks = lambda n, seed: env.unwrapped.sample_tasks(n, split="train", seed=seed)  # noqa: E731
    whole, first, second = (MetaTrainer(MetaTrainCfg(**settings), env, tasks, method) for _ in range(3))
    lines = [whole.run_round() for _ in range(2)]
    first.run_round()
    first.save(tmp_path / "c.safetensors")
    second.resume(tmp_path / "c.safetensors")
    assert second.run_round() == lines[1]
    other = cavia_method(CaviaCfg(contexts=5)) if name == "cavia" else maml_method(MamlCfg(inner_steps=1))
    with pytest.raises(ValueError, match="other settings"):
        MetaTrainer(MetaTrainCfg(**settings), env, tasks, other).resume(tmp_path / "c.safetensors")


def test_plain_training_takes_no_lesson_and_then_picks_one_rate():
    env = make_arms(PLANAR, 4, nthread=1)
    tasks = lambda n, seed: env.unwrapped.sample_tasks(n, split="train", seed=seed)  # noqa: E731
    cfg = MetaTrainCfg(**SMALL | {"bodies": 4, "batch": 4, "episodes": 2, "steps": 2, "rounds": 1, "warm_rounds": 1})
    run = MetaTrainer(cfg, env, tasks, PLAIN)
    run.run_round()
    assert (run.learner.log_rate == 0).all()
    assert (run.learner.trace_logit == 0).all()
    assert run.learner.head.abs().max() > 0
    run.finish()
    rates = run.learner.rate.unique()
    assert len(rates) == 1
    assert min(abs(rates.item() - rate) for rate in PLAIN_RATES) < 1e-6


@pytest.mark.parametrize("wrong", [{"inner_steps": 0}, {"inner_rate": -1.0}, {"lags": 0}])
@pytest.mark.parametrize("kind", [CaviaCfg, MamlCfg])
def test_impossible_rules_are_named(kind, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be positive"):
        kind(**wrong)
