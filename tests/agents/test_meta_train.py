"""Meta-training: a minute's worth of rounds in seconds, and it must already help."""

import numpy as np
import pytest
import torch

from agents.episodes import make_arms, run_trial
from agents.experience import gather
from agents.meta_train import MetaTrainCfg, MetaTrainer
from agents.methods import DELTA
from agents.policy import DeltaPolicy, SoftwareSubstrate
from agents.working_range import working_range
from tests.helpers import PLANAR

SMALL = {"bodies": 24, "episodes": 3, "steps": 25, "batch": 16, "hidden": 24, "features": 16, "threads": 1}


def trainer(**changes):
    cfg = MetaTrainCfg(**SMALL | changes)
    env = make_arms(PLANAR, cfg.bodies, nthread=1)
    return MetaTrainer(cfg, env, lambda n, seed: env.unwrapped.sample_tasks(n, split="train", seed=seed))


def adapted_error(learner, n_episodes=4):
    """Return the mean error of each episode on bodies of the test split, rad."""
    env = make_arms(PLANAR, 16, nthread=1)
    tasks = env.unwrapped.sample_tasks(16, split="test", seed=1)
    policy = DeltaPolicy(learner, SoftwareSubstrate(learner, 16), env.unwrapped.arm_cfg)
    episodes, _ = run_trial(env, policy, tasks, range(16), n_episodes)
    env.close()
    return np.array([episode.rmse_rad.mean() for episode in episodes])


def test_a_few_rounds_teach_learning():
    run = trainer(rounds=16, warm_rounds=6, rate=5e-3)
    untrained = adapted_error(run.learner)
    lines = [run.run_round() for _ in range(16)]
    assert [line["round"] for line in lines] == list(range(1, 17))
    first, warm = (np.mean(lines[k]["predicted_rmse_rad"]) for k in (0, 5))  # both of blends' episodes, on new bodies
    assert warm < 0.85 * first
    trained = adapted_error(run.learner)
    assert trained[-1] < 0.1 * untrained[-1]
    assert trained[-1] < 0.25 * trained[0]


def test_random_features_are_left_as_drawn():
    run = trainer(rounds=2, warm_rounds=1, bodies=4, steps=2, batch=4, random_features=True)
    before = {name: value.clone() for name, value in run.learner.named_parameters()}
    run.run_round()
    moved = {name for name, value in run.learner.named_parameters() if not torch.equal(value, before[name])}
    frozen = {f"fixed.{layer}.{part}" for layer in ("first", "second", "feature") for part in ("weight", "bias")}
    assert moved == set(before) - frozen


def test_the_rate_falls_to_zero_along_a_cosine():
    run = trainer(rounds=2, warm_rounds=2, bodies=2, episodes=2, steps=2, batch=2, rate=0.01)
    rates, step = [], run._adam.step
    run._adam.step = lambda: (rates.append(run._adam.param_groups[0]["lr"]), step())[1]
    for _ in range(2):
        run.run_round()
    # a quarter of the way each: .01 (1 + cos(k pi / 4)) / 2
    np.testing.assert_allclose(rates, [0.01, 0.00853553, 0.005, 0.00146447], rtol=1e-5)


def test_working_range_by_hand():
    run = trainer(rounds=1, warm_rounds=1, bodies=4, episodes=2, steps=1, batch=4)
    run.run_round()
    found = run.calibration
    assert found["inputs"].shape == (256, run.learner.network.n_inputs)
    assert found["inputs"].abs().max() <= 1.0
    assert found["head_range"].shape == found["head_output"].shape == (2,)
    assert (found["head_range"] >= run.learner.head.abs().amax(1) - 1e-6).all()


def test_training_refuses_the_test_split():
    env = make_arms(PLANAR, 2, nthread=1)
    held_out = lambda n, seed: env.unwrapped.sample_tasks(n, split="test", seed=seed)  # noqa: E731
    run = MetaTrainer(MetaTrainCfg(**SMALL | {"bodies": 2, "batch": 2}), env, held_out)
    with pytest.raises(ValueError, match="belongs to split 'test', not 'train'"):
        run.run_round()


def test_a_resumed_trainer_goes_on_bit_for_bit(tmp_path):
    settings = {"rounds": 3, "warm_rounds": 1, "bodies": 4, "episodes": 2, "steps": 2, "batch": 4}
    whole, first, second = trainer(**settings), trainer(**settings), trainer(**settings)
    lines = [whole.run_round() for _ in range(3)]
    first.run_round()
    first.save(tmp_path / "c.safetensors")
    second.resume(tmp_path / "c.safetensors")
    assert [second.run_round() for _ in range(2)] == lines[1:]
    for name, value in whole.learner.state_dict().items():
        assert torch.equal(value, second.learner.state_dict()[name]), name
    for name, value in whole.calibration.items():
        assert torch.equal(value, second.calibration[name]), name
    with pytest.raises(ValueError, match=r"other settings.*'rounds': \(3, 4\)"):
        trainer(**settings | {"rounds": 4}).resume(tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"episodes": 1}, "episodes must be at least 2"),
        ({"rate": float("nan")}, "rate must be above 0 and at most 1, got nan"),
        ({"clip": 0.0}, "clip must be positive and finite, got 0.0"),
        ({"first_weight": -1.0}, "first_weight must be 0 or more"),
        ({"features": 1}, "features must be at least 2"),
    ],
)
def test_impossible_settings_are_named(wrong, text):
    with pytest.raises(ValueError, match=text):
        MetaTrainCfg(**wrong)


def test_ranges_of_an_unwritten_head_are_its_own():
    run = trainer(rounds=1, warm_rounds=1, bodies=2, episodes=2, steps=1, batch=2)
    data = gather(run.env, run.learner, DELTA.policy, run._tasks(2, 0), 2, warm=True, seed=0)
    with torch.no_grad():
        run.learner.head.copy_(torch.arange(32.0).reshape(2, 16))
        run.learner.log_rate.fill_(-200.0)  # a rate of zero: no lesson writes anything
    found = working_range(run.learner, data, quantile=1.0)
    torch.testing.assert_close(found["head_range"], torch.tensor([15.0, 31.0]))
