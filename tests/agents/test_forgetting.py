import numpy as np
import pytest

from agents.forgetting import forgetting
from agents.results import Block, Key


def life(*errors):
    """Return a block of one meta-seed, one chip and two bodies, the second with twice the errors."""
    error = np.array(errors)[None, None, None, :] * np.array([1.0, 2.0])[None, None, :, None]
    return Block(Key("delta", "hermes_2", "A-B-A"), error, -error, error, error, (0,), (*range(len(errors)),))


def test_forgetting_by_hand():
    # On A from .5 to .1; back in A .2 at first: a quarter of the gain is lost, and .105 <= 1.1 x .1 after a lesson.
    found = forgetting(life(0.5, 0.2, 0.1, 0.6, 0.3, 0.1, 0.2, 0.105, 0.1))
    assert found.share == pytest.approx(0.25)
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))  # both bodies lose the same share
    assert found.lessons == 1


def test_never_learned_again_is_said():
    assert forgetting(life(0.5, 0.1, 0.5, 0.1, 0.5, 0.2)).lessons is None
    with pytest.raises(ValueError, match="7 episodes are not 3 equal legs"):
        forgetting(life(*[0.1] * 7))
