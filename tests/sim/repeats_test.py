#!/usr/bin/env python3
"""One seed is one run: every frame of it, byte for byte and to the microsecond.

    repeats_test.py SIM
"""

import os
import subprocess
import sys
import unittest

SIM = sys.argv.pop()
SEEDS = range(1, 25)


def story_of(seed, **environment):
    run = subprocess.run([SIM, "--seed", str(seed), "--story"], check=True, capture_output=True,
                         text=True, env={**os.environ, **environment}, timeout=120)
    return run.stdout


class Repeats(unittest.TestCase):
    def test_a_seed_tells_the_same_story_in_every_process(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                first = story_of(seed)
                self.assertIn("\ntrace ", first)
                # Other addresses, and other rubbish in fresh memory.
                self.assertEqual(first, story_of(seed, MALLOC_PERTURB_="90", MALLOC_ARENA_MAX="1"))

    def test_another_seed_tells_another(self):
        self.assertNotEqual(story_of(1), story_of(2))


if __name__ == "__main__":
    unittest.main()
