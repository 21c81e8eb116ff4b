"""The relay that the load generator starts: what it does is judged, also that it ends or hangs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import GODWIT_RELAY, children_of  # noqa: E402

LOAD = os.environ["GODWIT_LOAD"]
# Each relay begins with `init`, and then runs.
RUNS_ONCE = """#!/bin/sh
if [ "$1" = run ]; then
  [ -e "$2/ran" ] && exit 3
  touch "$2/ran"
fi
exec "$REAL_RELAY" "$@"
"""


class OwnRelayTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.temporary = self.directory / "tmp"
        self.temporary.mkdir()
        self.page = self.directory / "page.html"

    def measuring(self, *options):
        """A run in its measured time, and its relay."""
        run = subprocess.Popen(
            [LOAD, "--own-relay", "--json", "--html", self.page, "--pairs", "4", "--settle", "1",
             "--warm-up", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "REAL_RELAY": GODWIT_RELAY})
        self.addCleanup(run.communicate)
        self.addCleanup(run.kill)
        self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
        return run, children_of(run, "godwit-relay")[0]

    def fails(self, run, fault):
        """Its verdict says so and why; what the relay had to say is kept, and nothing else."""
        output, errors = run.communicate(timeout=100)
        self.assertEqual(run.returncode, 1, errors)
        report = json.loads(output.splitlines()[-1])
        self.assertEqual(report["verdict"], "FAIL")
        self.assertRegex(report["faults"][0], fault)
        self.assertIn(f"FAULT: {report['faults'][0]}\n", errors)
        self.assertIn(f"The relay's log: {report['relay_log']}\n", errors)
        self.assertEqual([str(file) for file in self.temporary.iterdir()], [report["relay_log"]])
        self.assertNotEqual(Path(report["relay_log"]).read_text(), "")
        page = self.page.read_text()
        self.assertIn(report["relay_log"], page)
        self.assertIn(report["faults"][0], page)
        self.assertNotEqual(report["relay_version"], "")
        return report

    def test_one_that_crashes_ends_the_run_with_a_fail(self):
        for processes in ("1", "2"):
            with self.subTest(processes=processes):
                run, relay = self.measuring("--seconds", "600", "--processes", processes)
                os.kill(relay, signal.SIGABRT)
                report = self.fails(run, "^the relay ended by itself, by signal 6$")
                Path(report["relay_log"]).unlink()

    def test_one_that_ends_as_if_all_were_well_is_a_fail(self):
        run, relay = self.measuring("--seconds", "600")
        os.kill(relay, signal.SIGTERM)
        self.fails(run, "^the relay ended by itself, with status 0$")

    def test_one_that_crashes_between_two_kills_is_a_fail(self):
        run, relay = self.measuring("--seconds", "70", "--chaos", "kill:60s")
        os.kill(relay, signal.SIGABRT)
        self.fails(run, "^the relay ended by itself, by signal 6$")

    def test_one_that_does_not_start_again_is_a_fail(self):
        binary = self.directory / "relay"
        binary.write_text(RUNS_ONCE)
        binary.chmod(0o755)
        run, _ = self.measuring("--seconds", "600", "--chaos", "kill:2s", "--relay-binary", binary)
        self.fails(run, f"^the relay did not start: {binary} ended with status 3$")

    def test_one_that_hangs_is_a_fail(self):
        run, relay = self.measuring("--seconds", "5")
        os.kill(relay, signal.SIGSTOP)
        self.fails(run, "^the relay stood still: ")

    def test_of_one_that_passes_nothing_is_left(self):
        run, _ = self.measuring("--seconds", "2", "--settle", "20")
        output, errors = run.communicate(timeout=100)
        self.assertEqual(run.returncode, 0, errors)
        self.assertEqual(json.loads(output.splitlines()[-1])["relay_log"], "")
        self.assertEqual(list(self.temporary.iterdir()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
