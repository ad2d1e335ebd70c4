"""A body that changes in mid-life: A, then B, then A again, while the controller keeps all that it has learned.

Nobody tells the controller; lessons go on as before. The three legs show what a change costs, how fast it is made up
for, and what of the first body is left when it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .episodes import Array, Controller, Episode, ears, run_episode

BAND = "A-B-A"
"""Label of this protocol in a table of results, in the place of a band's name."""
LEGS = 3


class Leg(NamedTuple):
    """Part of a life: the bodies of N arms, and for how many episodes they last."""

    tasks: Sequence[Any]
    episodes: int


def there_and_back(tasks: Sequence[Any], episodes: int) -> list[Leg]:
    """Return the legs A, B, A of equal length; an arm's B is the body that its neighbour in the list has as A.

    Every body is met as A once and as B once, so the means over arms of the legs are over the same bodies.

    Args:
        tasks: The bodies A, one an arm.
        episodes: Episodes of each leg.

    Raises:
        ValueError: One arm has no neighbour, or a leg has no episode.
    """
    if len(tasks) < 2:
        raise ValueError(f"{len(tasks)} body: B is another one's A; give at least 2")
    if episodes < 1:
        raise ValueError(f"a leg has at least 1 episode, got {episodes}")
    first, second = list(tasks), [*tasks[1:], tasks[0]]
    return [Leg(first, episodes), Leg(second, episodes), Leg(first, episodes)]


def run_life(
    env: Any, controller: Controller, legs: Sequence[Leg], seeds: Sequence[int], n_chips: int = 1
) -> tuple[list[Episode], list[Any]]:
    """Run the legs one after the other, with a lesson between each two episodes; never tell the controller.

    Returns the episodes and what the controller said of each lesson. With one leg it is `run_trial`.

    Args:
        env: Vector environment with an arm for every chip and task, chip-major.
        controller: Drives all arms; it begins as it comes and is never set back.
        legs: Bodies (one a task) and lengths.
        seeds: One a task, for references or goals, starts and sensors.
        n_chips: Chips that meet the same bodies and seeds.
    """
    bodies = [list(leg.tasks) * n_chips for leg in legs for _ in range(leg.episodes)]
    env.unwrapped.set_tasks(bodies[0])
    observation, _ = env.reset(seed=list(seeds) * n_chips)
    episodes, lessons = [], []
    for number in range(len(bodies)):
        # Arms reset themselves with an episode's last step: the next body must be set before.
        env.unwrapped.set_tasks(bodies[min(number + 1, len(bodies) - 1)])
        controller.begin()
        episode, observation = run_episode(env, controller.act, observation, ears(controller))
        episodes.append(episode)
        if number < len(bodies) - 1:
            lessons.append(controller.learn(episode))
    return episodes, lessons


class Relay:
    """Controllers that take turns, one a leg: how one that is told the body (the oracle) lives through a change."""

    def __init__(self, controllers: Sequence[Controller], legs: Sequence[Leg]) -> None:
        """Give each leg its controller.

        Raises:
            ValueError: There are not as many of them as legs.
        """
        if len(controllers) != len(legs):
            raise ValueError(f"{len(controllers)} controllers for {len(legs)} legs; give one each")
        self._turns = [who for who, leg in zip(controllers, legs, strict=True) for _ in range(leg.episodes)]
        self._now = -1

    def begin(self) -> None:
        """Begin the next episode in the controller whose turn it is."""
        self._now += 1
        self._turns[self._now].begin()

    def act(self, observation: Array) -> Array:
        """Let it act."""
        return self._turns[self._now].act(observation)

    def learn(self, episode: Episode) -> Any:
        """Let it learn."""
        return self._turns[self._now].learn(episode)
