"""Second looks: cells are read once more after programming, and those that came out badly are programmed again.

What program-and-verify leaves is an error that arises after its last read; the fits of the chips give it as a normal
number drawn at each programming. Who reads the cells again finds those that it befell most, and what errs in the end
are the tries that came out small. With e = `above` in standard deviations and p = erf(e / sqrt 2), cells that are good
enough have the mean square v = 1 - sqrt(2 / pi) e exp(-e^2 / 2) / p of a normal number cut at e, and n looks leave
v (1 - (1 - p)^n) + (1 - p)^n of the mean square of a single try. Assumption: the error has come to rest by the look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LooksCfg:
    """How often cells are looked at again, and what is good enough."""

    rounds: int = 0
    """Looks after a programming, each followed by a write of the cells that it finds wanting; 0: none."""
    above: float = 0.7
    """Error above which a cell is programmed again, in standard deviations of programming its target."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        if not (isinstance(self.rounds, int) and not isinstance(self.rounds, bool) and 0 <= self.rounds <= 100):
            raise ValueError(f"rounds must be a whole number, 0 to 100, got {self.rounds!r}")
        if not 0.0 < self.above < math.inf:
            raise ValueError(f"above must be positive and finite, got {self.above!r}")

    @property
    def share_left(self) -> float:
        """Mean square error after all looks over that of a single try, where reads are exact."""
        e = self.above
        good = math.erf(e / math.sqrt(2.0))
        cut = 1.0 - math.sqrt(2.0 / math.pi) * e * math.exp(-e * e / 2.0) / good
        bad = (1.0 - good) ** self.rounds
        return cut * (1.0 - bad) + bad
