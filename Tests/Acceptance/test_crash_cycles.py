"""kill -9 again and again, at any moment: nothing acknowledged is lost, and every answer is exactly right afterwards."""

import os

from crash_cycles import run_cycles

# A few cycles in each run of the tests; `SHOAL_CRASH_CYCLES=200` for a night, or crash_cycles.py as a command.
CYCLES = int(os.environ.get("SHOAL_CRASH_CYCLES", 15))
SEED = int(os.environ.get("SHOAL_CRASH_SEED", 20_260_501))


def test_a_node_that_is_killed_at_random_moments_loses_nothing_and_answers_exactly(tmp_path, measured):
    run_cycles(tmp_path, CYCLES, SEED)
    measured(f"{CYCLES} kills at random moments: nothing lost, every answer right")
