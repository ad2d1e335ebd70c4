"""Our arms as Meta-World's own evaluator sees an environment, so that it can call a learner of ours.

`metalearning_evaluation` (metaworld/evaluation.py of Meta-World 3.1) asks a vector environment for more than Gymnasium
does: it switches sampling and early ends on and off, lets it draw tasks, and asks for the name of each task's class.
"""

from __future__ import annotations

from typing import Any

from gymnasium.vector import VectorWrapper

from .episodes import make_arms

SWITCHES = ("toggle_sample_tasks_on_reset", "toggle_terminate_on_success")


class MetaWorldArms(VectorWrapper):
    """N arms whose bodies change only where the evaluator draws tasks; no episode ends before its time."""

    def __init__(self, env_id: str, n_arms: int, band: str = "in_range", split: str = "test", seed: int = 0) -> None:
        """Make the arms.

        Args:
            env_id: Registered id of the family of tasks.
            n_arms: Number of arms N.
            band: Band of the bodies.
            split: Their split.
            seed: Of bodies, of goals or references, and of noise.
        """
        self._arms = make_arms(env_id, n_arms, band=band, split=split)
        super().__init__(self._arms)
        self._bodies: dict[str, Any] = {"band": band, "split": split}
        self._seed: int | None = seed
        self._n_drawn, self._first = 0, seed

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes; the first time with the seed given at the start."""
        seed, self._seed = (self._seed if seed is None else seed), None
        return self.env.reset(seed=seed, options=options)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Answer the evaluator's calls, pass on all others."""
        if name == "sample_tasks" and not (args or kwargs):
            tasks = self._arms.unwrapped.sample_tasks(self._n_drawn + self.num_envs, seed=self._first, **self._bodies)
            self._arms.unwrapped.set_tasks(tasks[self._n_drawn :])
            self._n_drawn += self.num_envs
            return (None,) * self.num_envs
        return (None,) * self.num_envs if name in SWITCHES else self._arms.call(name, *args, **kwargs)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Return what the evaluator asks for, or an attribute of the arms."""
        ours = {"task_name": type(self).__name__, "terminate_on_success": False}
        return (ours[name],) * self.num_envs if name in ours else self._arms.get_attr(name)
