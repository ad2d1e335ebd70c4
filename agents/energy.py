"""What adapting costs: the chip by its ledger, and the same arithmetic timed on this machine's processor."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from .bill import Bill
from .delta import DeltaLearner, Lesson, head_increment
from .evaluation import Arena, Shipped, place, run_policy
from .policy import SoftwareSubstrate

RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
"""The processor's own count of its energy (Intel's running average power limit), where the kernel shows it."""


class Price(NamedTuple):
    """Energy at low, nominal and high constants, and time."""

    energy_j: tuple[float, float, float]
    seconds: float

    def times(self, count: float) -> Price:
        """Return the price of so many."""
        low, nominal, high = self.energy_j
        return Price((low * count, nominal * count, high * count), self.seconds * count)

    def plus(self, other: Price) -> Price:
        """Return the price of both, one after the other."""
        low, nominal, high = (a + b for a, b in zip(self.energy_j, other.energy_j, strict=True))
        return Price((low, nominal, high), self.seconds + other.seconds)


class Prices(NamedTuple):
    """What one arm pays on one machine."""

    step: Price  # one control step: the network is read once
    lesson: Price  # the network is read once more for every step of the episode, and the head is written

    def life(self, steps: int, lessons: int) -> Price:
        """Return the price of adapting: so many episodes of so many steps, with a lesson after each."""
        return self.step.times(steps).plus(self.lesson).times(lessons)


class Meter(NamedTuple):
    """How seconds on this processor become joules."""

    watts: float
    """Power of one busy core, W: stated, not measured; not used where the processor counts for itself."""
    rapl: Path = RAPL
    least_s: float = 0.2
    """Length of a measurement, s."""

    @property
    def source(self) -> str:
        """Where the joules come from."""
        return "RAPL of the whole processor" if self.counts() else f"seconds times {self.watts:g} W, stated"

    def counts(self) -> bool:
        """Return whether the processor's own count can be read."""
        try:
            return int(self.rapl.read_text()) >= 0
        except (OSError, ValueError):
            return False

    def price(self, work: Callable[[], object], share: float = 1.0, repeats: int = 5) -> Price:
        """Return what `work` takes: the least of some measurements of CPU time.

        Args:
            work: What is done, in this thread.
            share: Part of it that one arm pays.
            repeats: Their number; the least is what the work takes when nothing else gets in its way.
        """
        work()
        count, found = 1, []
        while len(found) < repeats:
            joules, seconds = self._measure(work, count)
            if seconds < self.least_s:
                count = max(2 * count, int(1.2 * count * self.least_s / max(seconds, 1e-6)))
                continue
            found.append((seconds / count, joules / count))
        seconds, joules = min(found)
        return Price((joules * share, joules * share, joules * share), seconds * share)

    def _measure(self, work: Callable[[], object], count: int) -> tuple[float, float]:
        """Return joules and CPU seconds of `count` times the work."""
        rapl = self.counts()
        before = int(self.rapl.read_text()) if rapl else 0
        start = time.process_time()
        for _ in range(count):
            work()
        seconds = time.process_time() - start
        joules = (int(self.rapl.read_text()) - before) * 1e-6 if rapl else seconds * self.watts
        return joules, seconds


def chip_prices(arena: Arena, shipped: Shipped, n_steps: int) -> Prices:
    """Return what an arm pays on the chip, means over chips and bodies, from the ledgers of a trial.

    Args:
        arena: Bodies, chips and number of lessons.
        shipped: The learner.
        n_steps: Control steps of an episode.
    """
    substrate, n_chips = place(arena, shipped)
    meter = run_policy(arena, shipped, substrate, n_chips, "policy on the chip").meter
    lessons = [_mean(bill) for bill in meter.lessons]
    total = lessons[0]
    for lesson in lessons[1:]:
        total = total.plus(lesson)
    episodes = arena.cfg.lessons + 1
    return Prices(_mean(meter.acting()).times(1.0 / (episodes * n_steps)), total.times(1.0 / len(lessons)))


def processor_prices(learner: DeltaLearner, n_arms: int, n_steps: int, meter: Meter) -> Prices:
    """Return what an arm pays in float32 on this processor, `n_arms` at once.

    The same as on the chip: the matrices with their tanh for a step; for a lesson the matrices for every step of the
    episode, and the increment. Like there, encoding and law are left out.
    """
    arms = SoftwareSubstrate(learner, n_arms)
    now = torch.rand(n_arms, 1, learner.network.n_inputs)
    past = torch.rand(n_arms, n_steps, learner.network.n_inputs)
    command = torch.rand(n_arms, n_steps, learner.network.n_joints)
    rate = learner.rate.detach()

    def act() -> None:
        reading = arms.fixed(now)
        _ = reading.command + arms.head(reading.features)

    def learn() -> None:
        reading = arms.fixed(past)
        lesson = Lesson(reading.features, command, reading.command, arms.head(reading.features))
        _ = arms.weights + head_increment(lesson, rate, learner.rule)

    with torch.inference_mode():
        return Prices(*(meter.price(work, 1.0 / n_arms) for work in (act, learn)))


def _mean(bill: Bill) -> Price:
    found = bill.means()
    energy = (found["energy_low_j"], found["energy_nominal_j"], found["energy_high_j"])
    return Price(energy, found["seconds"])
