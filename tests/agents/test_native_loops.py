"""The compiled loops leave the arithmetic of the process as it is."""

import numpy as np

from agents import native


def test_small_numbers_are_still_there_once_the_loops_are_loaded():
    native.kernels()
    assert (
        np.float32(1e-40) * np.float32(0.5) > 0
    )  # subnormal: a library linked with -ffast-math would flush it to zero
