"""docs/suite.md: its commands are understood, its labels and columns are those of the code."""

import re
import shlex

import pytest

from agents.plans import PLANS
from agents.suite_cell import COLUMNS
from launch import cli, train, train_many
from launch.evaluate_suite import EvaluateSuite
from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "suite.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


@pytest.mark.parametrize("command", [line for line in COMMANDS if "launch.evaluate" in line])
def test_a_command_of_the_suite_can_be_ordered(command):
    words = shlex.split(command)[3:]
    cfg = cli.choose("evaluate", "", {"dynamics": EvaluateSuite}, words)
    assert cfg.orders()


@pytest.mark.parametrize("command", [line for line in COMMANDS if "launch.train" in line])
def test_a_command_of_many_trainings_is_understood(command):
    many = train_many.asked(shlex.split(command)[3:])
    assert many is not None
    assert train.configuration(many.rest).cfg


def test_every_command_is_one_of_these_and_columns_and_parts_are_named():
    known = ("launch.evaluate dynamics --suite", "--meta-seeds", "launch.figures", "launch.energy", "launch.budgets")
    assert all(any(each in line for each in known) for line in COMMANDS)
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert set(COLUMNS) <= named
    assert " ".join(PLANS) in PAGE
