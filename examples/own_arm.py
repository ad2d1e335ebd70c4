"""Add an arm: an MJCF file and an ArmCfg. Then both its worlds, its bodies and its oracles are there.

Here the nominal controller and the oracle run on its unseen bodies.    python examples/own_arm.py
"""

from pathlib import Path

from agents.baselines.controllers import ComputedTorque
from agents.baselines.reaching import ReachComputedTorque
from agents.episodes import make_arms, run_trial
from envs import ArmCfg, Workspace, register_arm

TRI = ArmCfg(
    name="tri",
    file=Path(__file__).with_suffix(".xml"),
    n_joints=3,
    torque_max_nm=(120.0, 50.0, 20.0),
    q_min_rad=(-1.7, -2.0, -1.6),
    q_max_rad=(1.7, 2.0, 1.6),
    parallel_joints=(0, 1, 2),
    payload_ranges_kg=((0.0, 1.0), (1.0, 1.5), (1.5, 2.0)),
    friction_scale=(1.0, 0.6, 0.3),
    workspace=Workspace(axes=(0, 2), radius_m=(0.45, 0.75), elevation_rad=(-1.4, 1.4)),
)
N_ARMS, errors = 32, {}
for env_id, law in zip(register_arm(TRI), (ComputedTorque, ReachComputedTorque), strict=True):
    arms = make_arms(env_id, N_ARMS)
    bodies = arms.unwrapped.sample_tasks(N_ARMS, split="test", seed=1000)
    for name, told in (("nominal", None), ("oracle", bodies)):
        episodes, _ = run_trial(arms, law(arms, told), bodies, seeds=range(N_ARMS), n_episodes=2)
        errors[env_id, name] = episodes[-1].error.mean()
        print(f"{env_id:<28} {name:<8} {errors[env_id, name]:.4f} {'m' if 'Reach' in env_id else 'rad'}")
