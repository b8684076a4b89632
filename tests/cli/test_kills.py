"""Whole trainings that are killed, as tools/kills.py does at random."""

import kills
import pytest


@pytest.mark.slow
@pytest.mark.kills
@pytest.mark.parametrize("variant", kills.VARIANTS)
def test_a_killed_training_ends_as_an_unbroken_one(variant, tmp_path):
    seconds = kills.finish(variant, tmp_path / "whole")
    wanted = kills.contents(tmp_path / "whole")
    for number, share in enumerate((0.35, 0.5, 0.65, 0.8, 0.95)):
        sent = kills.SIGNALS[number % 3]
        folder = tmp_path / str(number)
        _, ended = kills.kill(variant, folder, share * seconds, sent)
        if not ended:
            kills.finish(variant, folder)
        assert kills.contents(folder) == wanted, (sent, share)
