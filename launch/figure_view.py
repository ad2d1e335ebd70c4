"""What the figures ask of a table: which learners are in it, which memory of each is shown, what errors are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.budget import beside, read_steps
from agents.midlife import BAND as MIDLIFE
from agents.results import Block, Key, Results, variant
from agents.scores import Ends
from launch.figure_style import LOOKS, OURS, MissingError

BANDS = ("in_range", "mild", "hard")
SOFTWARE = "float"


@dataclass(frozen=True)
class View:
    """A table seen from one memory."""

    results: Results
    """The table."""
    env: str
    """Registered id of its family of tasks."""
    memory: str = "hermes_2"
    """The chip that is shown; learners that are not on it are shown in software."""
    table: str = "table.csv.gz"
    """The table's file, for captions."""
    steps: Mapping[str, str] = field(default_factory=dict)
    """Control steps of the trainings by learner, as texts; of whom there are none, nothing is said."""

    @classmethod
    def of(cls, results: Results, path: Path, env: str, memory: str = "hermes_2") -> View:
        """Return a view of the table read from a path, with the budgets beside it; without them steps stay unsaid.

        Raises:
            ValueError: The budgets cannot be read.
        """
        budgets = beside(path)
        return cls(results, env, memory, path.name, read_steps(budgets) if budgets.is_file() else {})

    @property
    def reach(self) -> bool:
        """Whether errors are tip distances."""
        return "Reach" in self.env

    @property
    def error_label(self) -> str:
        """What the axis of errors says."""
        return "tip distance, last .5 s [m]" if self.reach else "joint error of an episode [rad]"

    @property
    def unit(self) -> str:
        """Unit of the errors."""
        return "m" if self.reach else "rad"

    def learners(self, band: str = "in_range") -> list[str]:
        """Return the learners of a band, ours last, so that they are drawn on top."""
        found = dict.fromkeys(key.learner for key in self.results.find(band=band) if self._key(key.learner, band))
        known = [*LOOKS, *sorted(set(found) - set(LOOKS))]
        return sorted(found, key=lambda learner: (learner in OURS, known.index(learner)))

    def ours(self, band: str = "in_range") -> str:
        """Return the learner that the table is about.

        Raises:
            MissingError: Neither is in it.
        """
        for learner in OURS:
            if self._key(learner, band):
                return learner
        raise MissingError(f"none of {list(OURS)} in band {band}")

    def lead(self, band: str = "in_range") -> str:
        """Return ours or, where the table is of others alone, the learner with the most runs.

        Raises:
            MissingError: The band has no rows.
        """
        sizes = {who: (who in OURS, block.error.size) for who, block in self.blocks(band)}
        if not sizes:
            raise MissingError(f"no rows of band {band} on {self.memory} or in software")
        return max(sizes, key=lambda who: sizes[who])

    def block(self, learner: str, band: str = "in_range", memory: str | None = None) -> Block:
        """Return a learner's block on a memory; default: the chip where it is on one, else software.

        Raises:
            MissingError: The table has none.
        """
        key = self._key(learner, band) if memory is None else Key(learner, memory, band)
        if key is None or key not in self.results.keys:
            raise MissingError(f"no {learner} on {memory or self.memory}, {band}")
        return self.results.block(key)

    def blocks(self, band: str = "in_range") -> Iterator[tuple[str, Block]]:
        """Yield every learner of a band with its block."""
        for learner in self.learners(band):
            yield learner, self.block(learner, band)

    def ends(self, band: str = "in_range") -> Ends:
        """Return the ends of the band's scale.

        Raises:
            MissingError: The table lacks the nominal controller or the oracle.
        """
        return Ends(self.block("nominal", band), self.block("oracle", band))

    def sweep(self, name: str, standard: float | None = None) -> dict[str, list[tuple[float, Block]]]:
        """Return by learner its blocks in range on variants of the chip, [(value, block)] by rising value.

        Args:
            name: What varies: noise, bits or age.
            standard: The value that the memory without a word stands for; it joins the series with the first chips
                and bodies, as many as the others have. None: it does not.
        """
        found: dict[str, list[tuple[float, Block]]] = {}
        for key in self.results.find(band="in_range"):
            device, words = variant(key.memory)
            if device == self.memory and set(words) == {name}:
                found.setdefault(key.learner, []).append((words[name], self.results.block(key)))
        for learner, points in found.items():
            if standard is not None and self.results.find(learner, self.memory, "in_range"):
                _, n_chips, n_tasks, _ = points[0][1].error.shape
                points.append((standard, self.block(learner, memory=self.memory).part(n_chips, n_tasks)))
            points.sort(key=lambda point: point[0])
        return {who: found[who] for who in [*LOOKS, *found] if len(found.get(who, ())) > 1}

    def parameters(self) -> dict[str, dict[str, list[tuple[float, Block]]]]:
        """Return by swept parameter of the body, by learner, [(value, block)] by rising value."""
        found: dict[str, dict[str, list[tuple[float, Block]]]] = {}
        for band in dict.fromkeys(key.band for key in self.results.keys if "=" in key.band):
            name, value = band.split("=")
            for learner, block in self.blocks(band):
                found.setdefault(name, {}).setdefault(learner, []).append((float(value), block))
        return {
            name: {who: sorted(points, key=lambda point: point[0]) for who, points in by_learner.items()}
            for name, by_learner in found.items()
        }

    def _key(self, learner: str, band: str) -> Key | None:
        memories = [key.memory for key in self.results.find(learner, band=band)]
        memory = next((memory for memory in (self.memory, SOFTWARE) if memory in memories), None)
        return None if memory is None else Key(learner, memory, band)


def counts(block: Block) -> str:
    """Return how many runs a block is of, as in "2 meta-seeds x 8 chips x 100 bodies"."""
    seeds, chips, tasks, _ = block.error.shape
    parts = [f"{n} {word}" + "s" * (n > 1) for n, word in ((seeds, "meta-seed"), (chips, "chip")) if n > 1]
    return " x ".join([*parts, f"{tasks} " + ("bodies" if tasks > 1 else "body")])


def seeds_note(blocks: list[Block]) -> str:
    """Return what a caption says of meta-seeds: intervals over one of them do not hold what others would give."""
    several = [block for block in blocks if len(block.meta_seeds) > 1]
    alone = [block.key.learner for block in blocks if len(block.meta_seeds) == 1 and block.key.learner not in FIXED]
    if not alone:
        return "Intervals resample meta-seeds, chips and bodies each on its own axis."
    if not several:
        return "Intervals resample chips and bodies each on its own axis; one meta-seed each."
    names = ", ".join(dict.fromkeys(alone))
    return f"Intervals resample meta-seeds, chips and bodies each on its own axis; one meta-seed only: {names}."


def told_note(learners: Iterable[str]) -> str:
    """Return what a caption says of learners that know more than ours."""
    found = [TOLD[who] for who in learners if who in TOLD]
    return f"Told what ours is not: {'; '.join(found)}. " if found else ""


TOLD = {
    "nominal": "nominal and integral action, the equations of the nominal arm",
    "rls": "least squares, the equations of the arm, its true link lengths and the spread of bodies",
    "rls-nominal": "the same with the nominal lengths",
    "slotine_li": "Slotine-Li, what least squares is told",
    "oracle": "the oracle, the body itself",
}
"""What each of the model-based controllers is given, in the words of their files."""

FIXED = ("nominal", "integral", "oracle", "rls", "rls-nominal", "slotine_li")
"""Controllers that are not trained: they have no meta-seeds."""

__all__ = ["BANDS", "FIXED", "MIDLIFE", "SOFTWARE", "View", "counts", "seeds_note", "told_note"]
