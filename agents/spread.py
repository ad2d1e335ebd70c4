"""Units of work spread over processes of this machine, or by Ray over many; what a killed worker did is done again.

Every unit says all that it needs, so where and in which order units are run changes nothing in what they give.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")

PATIENCE = 5
"""How often in succession workers may die before anything is finished: then the work itself kills them."""
OBJECT_STORE_BYTES = 128 * 2**20
"""Memory that a Ray of our own sets aside for results; a cell's are a hundredth of it."""


@dataclass(frozen=True)
class Places:
    """Where units are run."""

    workers: int = 1
    """Processes of this machine, one thread of torch each; 1: this one."""
    ray: bool = False
    """Spread by a Ray of our own with as many workers."""
    ray_address: str | None = None
    """Spread by the Ray that runs there, such as "auto" or "ray://head:10001", on all that it has."""

    def __post_init__(self) -> None:
        """Refuse no workers."""
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")

    def checked(self) -> Places:
        """Return the places if they can be used.

        Raises:
            ValueError: Ray was asked for and is not installed.
        """
        if self.by_ray and importlib.util.find_spec("ray") is None:
            raise ValueError("Ray is not installed; pip install 'phasearm[ray]', or use --workers")
        return self

    @property
    def by_ray(self) -> bool:
        """Whether Ray spreads the work."""
        return self.ray or self.ray_address is not None

    @property
    def described(self) -> str:
        """What a message says of it."""
        if self.ray_address is not None:
            return f"the Ray at {self.ray_address}"
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}{' of Ray' if self.ray else ''}"


def spread(
    work: Callable[[Unit], Result], units: Sequence[Unit], places: Places = Places()
) -> Iterator[tuple[int, Result]]:
    """Yield the index and the result of every unit, once each, as they are finished.

    Args:
        work: What is done with a unit; a function of a module, so that other processes find it.
        units: Units of work.
        places: Where.

    Raises:
        RuntimeError: Workers die again and again.
    """
    if places.by_ray:
        return _by_ray(work, units, places)
    if places.workers == 1:
        return ((index, work(unit)) for index, unit in enumerate(units))
    return _by_processes(work, units, places.workers)


def _by_processes(work: Callable[[Unit], Result], units: Sequence[Unit], workers: int) -> Iterator[tuple[int, Result]]:
    """Spread over spawned processes: a pool that lost one is broken, and another takes up what is left."""
    left, deaths = dict(enumerate(units)), 0
    while left:
        try:
            for index, result in _pool(work, left, workers):
                del left[index]
                deaths = 0
                yield index, result
        except BrokenProcessPool as error:
            deaths += 1
            if deaths > PATIENCE:
                raise RuntimeError(f"workers died {deaths} times and finished nothing of {len(left)} units") from error


def _pool(work: Callable[[Unit], Result], units: dict[int, Unit], workers: int) -> Iterator[tuple[int, Result]]:
    """Run units in one pool, handing over no more of them than it has workers."""
    context = multiprocessing.get_context("spawn")  # torch and MuJoCo hold threads, which a fork would not have
    waiting, running = iter(list(units.items())), dict[Future[Result], int]()
    with ProcessPoolExecutor(min(workers, len(units)), context, _one_thread) as pool:
        while True:
            for index, unit in waiting:
                running[pool.submit(work, unit)] = index
                if len(running) >= workers:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _one_thread() -> None:
    """Let a worker's torch use one thread: several workers would fight for the cores."""
    import torch

    torch.set_num_threads(1)


def _by_ray(work: Callable[[Unit], Result], units: Sequence[Unit], places: Places) -> Iterator[tuple[int, Result]]:
    """Spread by Ray, which runs the unit of a dead worker again."""
    import ray  # pyright: ignore[reportMissingImports]  # an extra

    own = not ray.is_initialized()
    if own:
        start_ray(ray, places)
    try:
        remote = ray.remote(num_cpus=1, max_retries=PATIENCE)(work)
        running = {remote.remote(unit): index for index, unit in enumerate(units)}
        while running:
            for reference in ray.wait(list(running), num_returns=1)[0]:
                yield running.pop(reference), ray.get(reference)
    finally:
        if own:
            ray.shutdown()


def start_ray(ray: Any, places: Places) -> None:
    """Join the Ray of an address, or start one on this machine."""
    if places.ray_address is not None:
        ray.init(places.ray_address, log_to_driver=False)
    else:  # Ray itself gives every worker as many threads as its cores
        own: dict[str, Any] = {"num_cpus": places.workers, "object_store_memory": OBJECT_STORE_BYTES}
        ray.init("local", **own, include_dashboard=False, log_to_driver=False)
