"""Pulls at the nominal arm's joints are its transposed Jacobian times the way, for every arm."""

import numpy as np
import pytest
import torch

from agents.reward_chain import nominal_chain, pull
from agents.reward_sense import HISTORY, RewardCfg, encode
from envs.kinematics import links_of, tip_jacobian
from envs.tasks import as_tuple
from envs.worlds import arm_in
from tests.agents.toy_reach import ToySeen


@pytest.mark.parametrize("name", ["planar", "scorbot"])
def test_pulls_are_those_of_the_jacobian(name):
    arm, _ = arm_in("reach", name, None)
    axes, drawn = tuple(arm.workspace.axes), torch.Generator().manual_seed(0)
    q_rad = torch.randn(7, arm.n_joints, generator=drawn, dtype=torch.float64)
    way = torch.randn(7, len(axes), generator=drawn, dtype=torch.float64)
    _, jacobian = tip_jacobian(links_of(arm, as_tuple(arm, None) * 7), q_rad.numpy())
    expected = np.einsum("ndj,nd->nj", jacobian[:, list(axes)], way.numpy())
    np.testing.assert_allclose(pull(nominal_chain(arm), axes, q_rad, way), expected, atol=1e-8)
    many = pull(nominal_chain(arm), axes, q_rad.expand(3, 2, 7, -1), way.expand(3, 2, 7, -1))
    np.testing.assert_allclose(many[1, 1], expected, atol=1e-8)


def test_a_chain_adds_one_number_a_joint_to_what_is_seen():
    arm, _ = arm_in("reach", "scorbot", None)
    plain = RewardCfg(5, 3, tuple(arm.parallel_joints))
    told = RewardCfg(5, 3, tuple(arm.parallel_joints), nominal_chain(arm), tuple(arm.workspace.axes))
    assert told.n_encoded == plain.n_encoded + 5
    drawn = torch.Generator().manual_seed(0)
    seen = ToySeen(*(torch.rand(4, n, generator=drawn) for n in (5, 5, 3, 3, 5)))
    earlier = torch.zeros(4, HISTORY, 5)
    assert torch.equal(encode(told, seen, earlier)[:, :-5], encode(plain, seen, earlier))
    assert encode(told, seen, earlier)[:, -5:-1].abs().min() > 1e-4
    assert encode(told, seen, earlier)[:, -1].abs().max() < 1e-6  # a turn of the gripper moves its tip nowhere


def test_a_chain_without_axes_is_refused():
    with pytest.raises(ValueError, match="axes"):
        RewardCfg(2, 2, (0, 1), chain=(0.0,) * 33)
