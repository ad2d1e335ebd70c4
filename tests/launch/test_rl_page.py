"""docs/rl_baselines.md: its commands are understood, and what is shipped was trained as it says."""

import re
import shlex

import pytest

from agents.baselines.actors import load_trained
from agents.learners import checkpoints
from launch import cli, train
from launch.evaluate_suite import EvaluateSuite
from tests.helpers import ROOT

REACH = "envs:PhaseArm/PlanarReach-v0"
PAGE = (ROOT / "docs" / "rl_baselines.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("name", ["ppo", "rl2"])
def test_the_command_is_that_of_the_shipped_policy(name):
    (command,) = [line for line in COMMANDS if f"--learner {name}" in line]
    settings = vars(train.configuration(shlex.split(command)[3:]).cfg.train)
    header = load_trained(checkpoints(name, REACH)[0], REACH).header
    assert header["train"] == settings
    assert 10_000_000 <= header["env_steps"] < 10_000_000 + settings["arms"] * 200


def test_the_evaluation_can_be_ordered():
    (command,) = [line for line in COMMANDS if "--suite" in line]
    cfg = cli.choose("evaluate", "", {"dynamics": EvaluateSuite}, shlex.split(command)[3:])
    assert {order.cell.learner for order in cfg.orders()} == {"nominal", "oracle", "ppo", "rl2"}
    assert len(COMMANDS) == 3
