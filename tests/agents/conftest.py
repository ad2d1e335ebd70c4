import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def seeded():
    """A maker of generators: seeded(3) twice gives the same numbers twice."""
    return lambda seed=0: torch.Generator().manual_seed(seed)
