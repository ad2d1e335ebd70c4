"""The libraries' learners: trained by legs that resume to the bit, exported, and the same policy in plain torch."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.env_checker import check_env

from agents.baselines.actor_chip import ChipActor, SoftwareActor, deploy_actor
from agents.baselines.actor_policy import Rl2Policy, policy_on
from agents.baselines.actors import load_trained, rebuild
from agents.baselines.ppo import Ppo
from agents.baselines.rl_cfg import PpoCfg, Rl2Cfg
from agents.baselines.rl_train import RlTrainer, resume
from agents.baselines.sb3 import make_vec_env
from agents.baselines.scaled import measure
from agents.baselines.scaling import CUT, Scaling
from agents.cells import Cell, Order, SuiteCfg
from agents.checkpoint import digest, load
from agents.chip import ChipCfg
from agents.episodes import make_arms, run_trial
from agents.evaluation import reference_seeds
from agents.protocol import ControllerAgent, Timestep
from agents.suite_cell import outcome
from envs.trials import TrialEnv, TrialVectorEnv
from tests.helpers import PLANAR, SCORBOT

rl2_module = pytest.importorskip("agents.baselines.rl2", reason="sb3-contrib is an extra")
SMALL = {"env": PLANAR, "arms": 4, "leg": 1, "epochs": 1, "minibatches": 2, "hidden": 8, "rate": 1e-3, "rate_left": 1.0}
KINDS = {
    "ppo": (Ppo, PpoCfg(**SMALL, env_steps=4 * 100 * 3)),
    "rl2": (rl2_module.Rl2, Rl2Cfg(**SMALL, env_steps=4 * 200 * 3, episodes=2, lstm=8)),
}
EXACT = ChipCfg(memory="ideal", bits=0)
N_ARMS, EPISODES = 4, 3


@pytest.fixture(params=sorted(KINDS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of each kind a trainer that ran to its end and the folder of its exported policy."""
    found = {}
    for name, (kind, cfg) in KINDS.items():
        folder, trainer = tmp_path_factory.mktemp(name), RlTrainer(kind(), cfg)
        while not trainer.done:
            trainer.run_leg()
            trainer.save(folder / f"{trainer.leg}.safetensors")
        trainer.export(folder / "learner.safetensors")
        found[name] = (trainer, folder)
    return found


@pytest.fixture
def trained(runs, name):
    return rebuild(*load(runs[name][1] / "learner.safetensors"))


def test_steps_are_counted_exactly(runs, name):
    """One rollout measures the scales, two are trained on: three times the arms times the steps of a rollout."""
    trainer, folder = runs[name]
    assert trainer.env_steps == KINDS[name][1].env_steps
    assert trainer.leg == 2
    _, header = load(folder / "learner.safetensors")
    assert (header["learner"], header["env"], header["env_steps"]) == (name, PLANAR, trainer.env_steps)


def test_a_run_that_goes_on_ends_as_if_it_had_never_stopped(runs, name, tmp_path):
    kind, cfg = KINDS[name]
    again = resume(kind(), cfg, runs[name][1] / "1.safetensors")
    assert (again.leg, again.done) == (1, False)
    again.run_leg()
    again.save(tmp_path / "again.safetensors")
    one, other = (load(path) for path in (tmp_path / "again.safetensors", runs[name][1] / "2.safetensors"))
    assert digest(one[0]) == digest(other[0])
    assert one[1] == other[1]


def test_other_settings_do_not_go_on_but_a_longer_run_does(runs, name):
    kind, cfg = KINDS[name]
    path = runs[name][1] / "2.safetensors"
    with pytest.raises(ValueError, match=r"other settings \(there, here\): \{'rate': \(0.001, 0.01\)\}"):
        resume(kind(), dataclasses.replace(cfg, rate=0.01), path)
    longer = resume(kind(), dataclasses.replace(cfg, env_steps=2 * cfg.env_steps), path)
    assert not longer.done
    wrong = KINDS["rl2" if name == "ppo" else "ppo"]
    with pytest.raises(ValueError, match="other settings"):
        resume(wrong[0](), wrong[1], path)


def test_the_exported_policy_is_the_librarys(runs, trained, name):
    """Both through the first steps of a trial, the library on its scaled arms, ours on plain ones."""
    trainer, _ = runs[name]
    trainer.env.seed(77)
    seen, state, start = trainer.env.reset(), None, np.ones(N_ARMS, dtype=bool)
    plain = make_arms(PLANAR, N_ARMS, nthread=1)
    observation, _ = plain.reset(seed=77)
    policy = policy_on(trained, SoftwareActor(trained, N_ARMS))
    policy.begin()
    for _ in range(100):  # afterwards the plain arms have other bodies than those in a trial
        theirs, state = trainer.model.predict(seen, state, start, deterministic=True)
        np.testing.assert_allclose(policy.act(observation), theirs, atol=1e-5)
        seen, _, start, _ = trainer.env.step(theirs)
        observation, reward, *_ = plain.step(theirs)
        if name == "rl2":
            policy.hear(reward)


def test_the_hidden_state_lives_through_a_trial(runs):
    """At the end of an inner episode RecurrentPPO neither bootstraps nor clears its state; at the trial's it does."""
    trainer, _ = runs["rl2"]
    buffer = trainer.model.rollout_buffer
    starts = np.asarray(buffer.episode_starts).reshape(N_ARMS, 200)  # flattened arm by arm once it was sampled from
    np.testing.assert_array_equal(starts.sum(1), 1.0)
    assert starts[:, 0].all()
    states = np.asarray(buffer.hidden_states_pi).reshape(N_ARMS, 200, -1)
    assert np.abs(states[:, 100]).max() > 0.0  # the first step of the second episode goes on from a state
    flags = trainer.env.scaling
    cut = flags.observe(torch.full_like(flags.mean, 1.0))[-1].item()
    np.testing.assert_allclose(
        np.asarray(buffer.observations).reshape(N_ARMS, 200, -1)[:, [0, 100], -1], cut, rtol=1e-6
    )


def test_a_sequence_in_one_call_is_the_librarys_loop(runs):
    lstm = runs["rl2"][0].model.policy.lstm_actor
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3 * 7, lstm.input_size, generator=generator)
    state = tuple(torch.randn(1, 3, lstm.hidden_size, generator=generator) for _ in range(2))
    starts = torch.zeros(3, 7)
    starts[0, 0] = 1.0  # one of three sequences begins with an episode
    for row in (starts, starts.clone().index_put_((torch.tensor(1), torch.tensor(4)), torch.tensor(1.0))):
        one = rl2_module.SequencePolicy._process_sequence(x, state, row.flatten(), lstm)
        other = rl2_module.MlpLstmPolicy._process_sequence(x, state, row.flatten(), lstm)
        torch.testing.assert_close(one[0], other[0])
        torch.testing.assert_close(one[1], other[1])


def test_an_exact_chip_is_software(trained, name):
    """Two chips, two arms on each, through three episodes without a lesson written."""
    chip = deploy_actor(trained, EXACT, 2, N_ARMS // 2, 0)
    env = make_arms(PLANAR, N_ARMS, nthread=1)
    tasks = env.unwrapped.sample_tasks(N_ARMS, split="test", seed=5)
    lives = [
        run_trial(env, policy_on(trained, actor), tasks, range(N_ARMS), EPISODES)[0]
        for actor in (SoftwareActor(trained, N_ARMS), chip)
    ]
    for one, other in zip(*lives, strict=True):
        np.testing.assert_allclose(one.action, other.action, atol=1e-4)
        np.testing.assert_allclose(one.error, other.error, atol=1e-4)


def test_a_real_chip_errs_is_billed_and_never_written(trained, name):
    actor = deploy_actor(trained, ChipCfg(), 2, N_ARMS // 2, 0)
    assert isinstance(actor, ChipActor)
    policy = policy_on(trained, actor)
    env = make_arms(PLANAR, N_ARMS, nthread=1)
    before = actor.bill()
    episodes, lessons = run_trial(env, policy, env.unwrapped.sample_tasks(N_ARMS, seed=5), range(N_ARMS), 2)
    spent = policy.bill().minus(before)
    assert lessons == [None]
    assert (spent.devices == 0.0).all()
    assert (spent.products > 0.0).all()
    software = policy_on(trained, SoftwareActor(trained, N_ARMS))
    exact, _ = run_trial(env, software, env.unwrapped.sample_tasks(N_ARMS, seed=5), range(N_ARMS), 2)
    assert 1e-5 < np.abs(episodes[0].action[:, 0] - exact[0].action[:, 0]).max() < 0.1


def test_rl2_hears_rewards_in_a_trial_and_behind_meta_worlds_calls(runs):
    trained = rebuild(*load(runs["rl2"][1] / "learner.safetensors"))
    env = make_arms(PLANAR, N_ARMS, nthread=1)
    tasks = env.unwrapped.sample_tasks(N_ARMS, split="test", seed=5)
    episodes, _ = run_trial(env, Rl2Policy(trained, SoftwareActor(trained, N_ARMS)), tasks, range(N_ARMS), 2)
    agent = ControllerAgent(lambda: Rl2Policy(trained, SoftwareActor(trained, N_ARMS)))
    env.unwrapped.set_tasks(tasks)
    observation, _ = env.reset(seed=list(range(N_ARMS)))
    for episode in episodes:
        agent.reset(np.ones(N_ARMS, dtype=bool))
        for k in range(episode.action.shape[1]):
            action, extra = agent.adapt_action(observation)
            np.testing.assert_allclose(action, episode.action[:, k], atol=1e-6)
            before = observation
            observation, reward, terminated, truncated, _ = env.step(action)
            agent.step(Timestep(before, action, reward, terminated, truncated, extra))
        agent.adapt()
    deaf = Rl2Policy(trained, SoftwareActor(trained, N_ARMS))
    deaf.hear = lambda reward: None
    unheard, _ = run_trial(env, deaf, tasks, range(N_ARMS), 1)
    assert np.abs(unheard[0].action - episodes[0].action).max() > 1e-5


def test_the_libraries_checker_accepts_a_trial():
    check_env(TrialEnv(gym.make(PLANAR), 2))


def test_scales_are_those_of_what_was_seen():
    """Two numbers 1 apart have spread .5; a constant one keeps a floor; a scaled observation is cut."""
    scaling = Scaling(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.01]), torch.tensor(2.0))
    torch.testing.assert_close(scaling.observe(torch.tensor([[1.5, 0.02], [9.0, -9.0]]))[0], torch.tensor([1.0, 2.0]))
    assert scaling.observe(torch.tensor([[9.0, -9.0]])).tolist() == [[CUT, -CUT]]
    env = make_vec_env(PLANAR, 3, nthread=1)
    env.seed(1)
    found, steps = measure(env, 0.1, 0.9, np.random.default_rng(0))
    assert steps == 100
    assert (found.std >= 0.01).all()
    assert found.std[0] > 0.1  # positions are spread over the joints' ranges


def test_a_checkpoint_of_another_world_is_refused(runs, name):
    path = runs[name][1] / "learner.safetensors"
    assert load_trained(path, PLANAR).header["env"] == PLANAR
    with pytest.raises(ValueError, match=f"was trained on '{PLANAR}', not on '{SCORBOT}'"):
        load_trained(path, SCORBOT)


def test_the_suite_runs_it_as_a_trial_does(runs, trained, name, tmp_path):
    """In software and on ideal chips; the table's error is that of the policy driven by hand."""
    (tmp_path / f"{name}-planartrack-v0-3.safetensors").write_bytes(
        (runs[name][1] / "learner.safetensors").read_bytes()
    )
    cfg = SuiteCfg(PLANAR, chips=2, tasks=2, lessons=1, seed=1001, checkpoints=tmp_path)
    software, ideal, real = (
        outcome(Order(cfg, Cell(name, memory, "in_range", meta_seed=3)).checked())
        for memory in ("float", "ideal", "hermes_2 age=86400")
    )
    env = make_arms(PLANAR, 2, nthread=1)
    tasks = env.unwrapped.sample_tasks(2, split="test", seed=1001)
    policy = policy_on(trained, SoftwareActor(trained, 2))
    episodes, _ = run_trial(env, policy, tasks, reference_seeds(1001, 2), 2)
    by_hand = np.stack([episode.error for episode in episodes], axis=-1)
    np.testing.assert_allclose(software.error[0], by_hand, rtol=1e-6)
    np.testing.assert_allclose(ideal.error, np.stack([by_hand] * 2), rtol=0.2)
    assert real.error.shape == (2, 2, 2)
    assert not real.devices_written.any()


def test_wrong_settings_are_named():
    for wrong, said in (({"rate": 0.0}, "rate must be above 0"), ({"env_steps": 0}, "env_steps must be at least 1")):
        with pytest.raises(ValueError, match=said):
            PpoCfg(env=PLANAR, **wrong)
    with pytest.raises(ValueError, match="lstm must be at least 1, got 0"):
        Rl2Cfg(env=PLANAR, lstm=0)
    with pytest.raises(ValueError, match="checkpoint of learner 'delta'"):
        rebuild({}, {"learner": "delta"})
    assert TrialVectorEnv(make_arms(PLANAR, 2), 2).episodes == 2
