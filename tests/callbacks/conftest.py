"""Images to train on, to ask for and to find."""

import pytest

from tests.callbacks.training import labelled


@pytest.fixture
def sets(rng):
    return [labelled(rng, count) for count in (40, 12, 50)]
