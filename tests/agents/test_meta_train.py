"""Meta-training: a minute's worth of rounds in seconds, and it must already help."""

from typing import Any

import numpy as np
import pytest
import torch

from agents import meta_train
from agents.budget import env_steps
from agents.checkpoint import load, save
from agents.episodes import make_arms, run_trial
from agents.experience import gather
from agents.meta_train import MetaTrainCfg, MetaTrainer, export
from agents.methods import DELTA, PLAIN
from agents.policy import DeltaPolicy, SoftwareSubstrate
from agents.working_range import added_by_lessons, working_range
from tests.helpers import PLANAR, refuses_unchanged

SMALL = {"bodies": 24, "episodes": 3, "steps": 25, "batch": 16, "hidden": 24, "features": 16, "threads": 1}


def trainer(method: Any = DELTA, **changes):
    cfg = MetaTrainCfg(**SMALL | changes)
    env = make_arms(PLANAR, cfg.bodies, nthread=1)
    return MetaTrainer(cfg, env, lambda n, seed: env.unwrapped.sample_tasks(n, split="train", seed=seed), method)


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


@pytest.mark.parametrize("taught", [0.0, 0.5])
def test_a_resumed_trainer_goes_on_bit_for_bit(tmp_path, taught):
    settings = {"rounds": 3, "warm_rounds": 1, "bodies": 4, "episodes": 2, "steps": 2, "batch": 4, "taught": taught}
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


def test_a_share_of_the_bodies_begins_with_the_heads_that_others_left(monkeypatch):
    begun = []
    monkeypatch.setattr(meta_train, "gather", lambda *a, **k: begun.append(a[2]) or gather(*a, **k))
    run = trainer(rounds=3, warm_rounds=1, bodies=4, episodes=2, steps=1, batch=4, taught=0.75)
    run.run_round()
    assert run._left is not None
    left = run._left.clone()
    run.run_round()
    assert begun[0] is DELTA.policy  # blends drive the arms, which have no head
    added = begun[1].keywords["added"]
    assert (left.flatten(1).norm(dim=1) > 0).all()
    assert all(any(torch.equal(head, other) for other in left) for head in added[:3])
    assert len(torch.unique(added[:3], dim=0)) == 3
    assert (added[3:] == 0).all()
    policy = begun[1](run.learner, 4, run.env.unwrapped.arm_cfg)
    torch.testing.assert_close(policy._substrate.weights, run.learner.head.detach() + added)


def test_what_lessons_added_is_what_the_policy_wrote():
    run = trainer(rounds=1, bodies=4, episodes=3)
    tasks, written = run._tasks(4, 0), []

    class Kept(SoftwareSubstrate):
        def write(self, increment):
            super().write(increment)
            written.append(self.weights - run.learner.head.detach())

    added = 0.1 * torch.randn(4, 2, 16, generator=torch.Generator().manual_seed(1))
    policy = lambda learner, n, arm: DeltaPolicy(learner, Kept(learner, n, added), arm)  # noqa: E731
    data = gather(run.env, run.learner, policy, tasks, 3, warm=False, seed=0)
    found = added_by_lessons(run.learner, first_two(data, added))
    torch.testing.assert_close(found, written[-1], atol=1e-5, rtol=1e-4)


def first_two(data, added):
    """Return the first two episodes of each body: the last one's lesson is not taken by a policy."""
    return type(data)(*(field[:, :2] for field in tuple.__iter__(data) if field is not None), added=added)


def test_a_run_may_begin_with_a_finished_learner(tmp_path):
    small = {"rounds": 1, "bodies": 4, "episodes": 2, "steps": 2, "batch": 4}
    first = trainer(**small)
    first.run_round()
    export(tmp_path / "learner.safetensors", first)
    second = trainer(**small | {"seed": 9, "start": str(tmp_path / "learner.safetensors")})
    for name, value in first.learner.state_dict().items():
        assert torch.equal(value, second.learner.state_dict()[name]), name
    assert second.round == 0
    own = 1 * 4 * 2 * 100  # rounds x bodies x episodes x control steps, each
    second.run_round()
    assert env_steps(second.header()) == 2 * own
    second.save(tmp_path / "second.safetensors")
    third = trainer(**small | {"seed": 9, "start": str(tmp_path / "learner.safetensors")})
    third.resume(tmp_path / "second.safetensors")
    assert env_steps(third.header()) == 2 * own
    with pytest.raises(ValueError, match="another version"):
        trainer(**small | {"hidden": 12, "start": str(tmp_path / "learner.safetensors")})
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*none\.safetensors"):
        trainer(**small | {"start": str(tmp_path / "none.safetensors")})


def test_runs_from_before_an_option_are_resumed(tmp_path):
    small = {"rounds": 2, "bodies": 4, "episodes": 2, "steps": 1, "batch": 4}
    old = trainer(**small)
    old.run_round()
    old.save(tmp_path / "c.safetensors")
    tensors, header = load(tmp_path / "c.safetensors")
    assert header["train"].pop("taught") == 0.0
    assert header["train"].pop("start") is None
    save(tmp_path / "c.safetensors", tensors, header)
    new = trainer(**small)
    new.resume(tmp_path / "c.safetensors")
    assert new.round == 1
    with pytest.raises(ValueError, match=r"'taught': \(0.0, 0.5\)"):
        trainer(**small | {"taught": 0.5}).resume(tmp_path / "c.safetensors")


def test_only_the_delta_learner_hands_heads_on():
    with pytest.raises(ValueError, match=r"taught must be 0 for this learner, got 0\.5"):
        trainer(PLAIN, taught=0.5)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"episodes": 1}, "episodes must be at least 2"),
        ({"rate": float("nan")}, "rate must be above 0 and at most 1, got nan"),
        ({"clip": 0.0}, "clip must be positive and finite, got 0.0"),
        ({"first_weight": -1.0}, "first_weight must be 0 or more"),
        ({"taught": 1.5}, "taught must be a share, 0 to 1, got 1.5"),
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


def test_a_spoilt_checkpoint_changes_nothing(tmp_path):
    settings = {"rounds": 2, "warm_rounds": 1, "bodies": 4, "episodes": 2, "steps": 1, "batch": 4}
    run = trainer(**settings)
    run.run_round()
    run.save(tmp_path / "run.safetensors")
    refuses_unchanged(trainer(**settings), tmp_path / "run.safetensors")
