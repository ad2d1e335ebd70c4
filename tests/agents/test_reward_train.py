"""Meta-training from reward alone: it must help, stop and go on to the bit, and refuse what cannot run."""

import numpy as np
import pytest

from agents.checkpoint import digest
from agents.reward_checkpoint import load_reward
from agents.reward_ppo import PPOCfg
from agents.reward_train import RewardTrainCfg, RewardTrainer
from tests.agents.toy_reach import STEPS, ToyReach
from tests.helpers import refuses_unchanged

SMALL = {
    **{"trials": 64, "episodes": 3, "steps": STEPS, "hidden": 16, "features": 9, "gates": 16, "action_unit": 0.5},
    **{"spread": (1.0, 0.8, 0.6), "spread_end": (1.0, 0.5, 0.3), "pulls": False},  # points have no links
}


def trainer(rounds, **changes):
    cfg = RewardTrainCfg(**SMALL | {"env_steps": rounds * 64 * 3 * STEPS} | changes)
    env = ToyReach(cfg.trials)
    return RewardTrainer(cfg, env, env.sample_tasks)


def test_reward_alone_teaches_a_rule_that_finds_the_motors_out():
    ppo = PPOCfg(epochs=2, minibatches=2, rate=2e-2, discount=0.8, divergence=0.1)
    run = trainer(45, ppo=ppo, echoes=0, answers=0)  # nothing is late here: in so few rounds they would only distract
    lines = [run.run_round() for _ in range(45)]
    late = np.mean([line["error"] for line in lines[-8:]], axis=0)
    assert lines[-1]["env_steps"] == run.cfg.env_steps
    assert late[2] < 0.7 * late[0]  # after two writes; before any, nothing can be known


def test_a_run_that_stopped_goes_on_to_the_bit(tmp_path):
    whole, first, second = (trainer(3) for _ in range(3))
    for _ in range(3):
        whole.run_round()
    first.run_round()
    first.save(tmp_path / "half.safetensors")
    second.resume(tmp_path / "half.safetensors")
    for _ in range(2):
        second.run_round()
    assert digest(second.learner.state_dict()) == digest(whole.learner.state_dict())
    assert digest(second.critic.state_dict()) == digest(whole.critic.state_dict())
    assert second.optimiser.rate == whole.optimiser.rate


def test_a_run_goes_on_with_its_own_settings_alone(tmp_path):
    run = trainer(2)
    run.run_round()
    run.save(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="gates"):
        trainer(2, gates=8).resume(tmp_path / "run.safetensors")


def test_an_exported_learner_says_what_it_cost(tmp_path):
    run = trainer(2, seed=5)
    run.run_round()
    run.export(tmp_path / "learner.safetensors")
    shipped = load_reward(tmp_path / "learner.safetensors", "envs:PhaseArm/PlanarReach-v0")
    assert (shipped.env_steps, shipped.seed) == (64 * 3 * STEPS, 5)
    assert digest(shipped.learner.state_dict()) == digest(run.learner.state_dict())
    assert shipped.calibration["inputs"].shape == (256, run.learner.network.n_inputs)
    with pytest.raises(ValueError, match="PlanarReach"):
        load_reward(tmp_path / "learner.safetensors", "envs:PhaseArm/ScorbotReach-v0")


def test_the_head_starts_at_zero_and_stays_there_unless_it_may_learn():
    still, moving = trainer(2), trainer(2, learned_start=True)
    for run in (still, moving):
        run.run_round()
    assert not still.learner.head.any()
    assert moving.learner.head.any()


def test_rates_fall_as_a_square_and_exploration_along_its_logarithm():
    cfg = RewardTrainCfg(env_steps=4 * 25_600, spread=(1.0,) * 4, spread_end=(0.25,) * 4, narrowed=0.5)
    found = [(cfg.ceiling(k), float(cfg.spread_in(k)[0])) for k in range(4)]
    np.testing.assert_allclose(found, [(1.0, 1.0), (0.5625, 0.5), (0.25, 0.25), (0.0625, 0.25)], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"env_steps": 10}, "env_steps"),
        ({"episodes": 1}, "episodes"),
        ({"spread": (0.1,)}, "spread"),
        ({"action_unit": 0.0}, "action_unit"),
        ({"trials": 0}, "trials"),
        ({"echoes": -1}, "echoes"),
        ({"answers": -2}, "answers"),
    ],
)
def test_wrong_settings_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        trainer(2, **changes)


def test_a_spoilt_checkpoint_changes_nothing(tmp_path):
    run = trainer(2)
    run.run_round()
    run.save(tmp_path / "run.safetensors")
    refuses_unchanged(trainer(2), tmp_path / "run.safetensors")
