"""One cell of a suite, run: its rows of the table."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from . import bands
from .bill import Bill
from .cells import BLOCK, Order
from .episodes import Array, Controller, Episode, ears, make_arms
from .evaluation import reference_seeds
from .learners import Player, Seat, find_learner
from .memories import parse_memory
from .midlife import Leg, Relay, run_life

COLUMNS = (
    *("learner", "memory", "band", "meta_seed", "chip", "task", "episode"),
    *("error", "return", "devices_written", "energy_j"),
)
_NUMBERS = "%d,%d,%d,%.4g,%.4g,%.6g,%.4g"  # chip, task, episode, then what was measured


class Outcome(NamedTuple):
    """What a cell found, each (chips, tasks, episodes); a cost is that of the lesson before the episode."""

    error: Array
    episode_return: Array
    devices_written: Array
    energy_j: Array


class Watched:
    """A controller whose lessons are billed, and that rests before its last episode."""

    def __init__(self, controller: Controller, player: Player, n_lessons: int, rest_s: float) -> None:
        """Watch `controller`; `player` has its meter and its clock."""
        self._controller, self._player, self._n_lessons, self._rest_s = controller, player, n_lessons, rest_s
        self.costs: list[Bill | None] = []

    def begin(self) -> None:
        """Begin an episode."""
        self._controller.begin()

    def act(self, observation: Array) -> Array:
        """Act."""
        return self._controller.act(observation)

    def hear(self, reward: Array) -> None:
        """Let it hear what the action earned."""
        ears(self._controller)(reward)

    def learn(self, episode: Episode) -> Any:
        """Take the lesson, note its cost, and rest after the last."""
        bill = self._player.bill
        before = bill() if bill else None
        report = self._controller.learn(episode)
        self.costs.append(bill().minus(before) if bill and before else None)
        if self._rest_s > 0 and len(self.costs) == self._n_lessons:
            _clock(self._player)(self._rest_s)
        return report


def _clock(player: Player) -> Callable[[float], None]:
    """Return what lets a player's chips age.

    Raises:
        ValueError: It has none.
    """
    if player.rest is None:
        raise ValueError("a memory label with age= needs a learner on chips that have a clock (Player.rest)")
    return player.rest


def run_cell(order: Order) -> bytes:
    """Run a cell and return its rows, without the header: the same bytes wherever and whenever it is run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order would move the last digits
    try:
        return rows(order, outcome(order))
    finally:
        torch.set_num_threads(threads)


def outcome(order: Order) -> Outcome:
    """Run a cell's life on all of its chips and bodies."""
    cfg, cell = order.cfg, order.cell
    world = make_arms(cfg.env, order.n_chips * cfg.tasks, nthread=1)
    try:
        life = bands.legs(world, cell.band, cfg.tasks, cfg.seed, cfg.lessons + 1)
        n_lessons = sum(leg.episodes for leg in life) - 1
        player, controller = _seated(order, world, life)
        watched = Watched(controller, player, n_lessons, parse_memory(cell.memory).rest_s)
        episodes, _ = run_life(world, watched, life, reference_seeds(cfg.seed, cfg.tasks), order.n_chips)
    finally:
        world.close()
    shape = (order.n_chips, cfg.tasks, n_lessons + 1)
    return _gathered(episodes, watched.costs, shape)


def _seated(order: Order, world: Any, life: list[Leg]) -> tuple[Player, Controller]:
    """Return the learner at work, and what drives the arms: whoever is told the body is told of every change."""
    entry, memory = find_learner(order.cell.learner), parse_memory(order.cell.memory)
    seats = [
        Seat(
            *(order.cfg.env, world, list(leg.tasks) * order.n_chips, order.n_chips, order.cfg.tasks),
            *(memory.chip, order.chip_seed, order.checkpoint),
        )
        for leg in life
    ]
    player = entry.build(seats[0])
    if not entry.told or len(life) == 1:
        return player, player.controller
    return player, Relay([player.controller, *(entry.build(seat).controller for seat in seats[1:])], life)


def _gathered(episodes: list[Episode], costs: list[Bill | None], shape: tuple[int, int, int]) -> Outcome:
    """Return the outcome of episodes and of the lessons between them."""
    nothing = np.zeros(shape[0] * shape[1])
    devices = [nothing, *(nothing if cost is None else cost.devices for cost in costs)]
    energy = [nothing, *(nothing if cost is None else cost.energy_nominal_j for cost in costs)]
    measured = ([episode.error for episode in episodes], [episode.episode_return for episode in episodes])
    return Outcome(*(np.stack(each, axis=-1).reshape(shape) for each in (*measured, devices, energy)))


def rows(order: Order, found: Outcome) -> bytes:
    """Return rows of the table in the order chip, task, episode, rounded as the table keeps them."""
    cell, (n_chips, n_tasks, n_episodes) = order.cell, found.error.shape
    chips = range(BLOCK * cell.block, BLOCK * cell.block + n_chips)
    axes = np.meshgrid(chips, range(n_tasks), range(n_episodes), indexing="ij")
    columns = np.stack([np.ravel(each) for each in (*axes, *found)], axis=1)
    text = io.StringIO()
    labels = ",".join([cell.learner, cell.memory, cell.band, str(cell.meta_seed)]).replace("%", "%%")
    np.savetxt(text, columns, fmt=f"{labels},{_NUMBERS}")
    return text.getvalue().encode()
