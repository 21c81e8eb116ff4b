"""The relay that the load generator starts: what it does is judged, also that it ends or hangs. And
what of a report cannot be: figures of too little, a file on a full disk."""

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
from programs import GODWIT_RELAY, Relay, children_of  # noqa: E402

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
        self.assertIs(report["interrupted"], False)  # nobody did
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


class ReportTest(unittest.TestCase):
    def load(self, *options, **how):
        short = ["--warm-up", "0", "--settle", "20", "--pairs", "1"]
        return subprocess.run(
            [LOAD, "--quiet", "--own-relay", *short, *options], stderr=subprocess.PIPE, text=True,
            timeout=120, check=False, **{"stdout": subprocess.PIPE, **how})

    def test_messages_that_the_time_was_too_short_for_are_unsent_and_no_pass(self):
        for options in (("--rate", "10"), ("--rate", "10", "--e2ee")):
            with self.subTest(options=options):
                done = self.load("--json", "--messages", "1000", "--seconds", "0.5", *options)
                report = json.loads(done.stdout.splitlines()[-1])
                self.assertEqual((done.returncode, report["verdict"]), (3, "INCOMPLETE"))
                self.assertEqual(report["submitted"] + report["unsent"], 1000)

    def test_figures_of_too_little_are_none(self):
        done = self.load("--json", "--rate", "10", "--seconds", "0.5", "--sessions", "10")
        report = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(report["verdict"], "PASS")
        for name in ("client_cpu_s_per_million", "relay_cpu_s_per_million",
                     "relay_bytes_per_session"):
            self.assertIsNone(report[name], name)
        self.assertNotIn("load generator ", done.stderr)
        done = self.load("--json", "--scenario", "offline", "--messages", "1", "--senders", "1")
        self.assertIsNone(json.loads(done.stdout.splitlines()[-1])["p50_us"])

    def test_a_report_that_cannot_be_written_is_said(self):
        done = self.load("--seconds", "0.2", "--html", "/dev/full")
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot write /dev/full; is its disk full?", done.stderr)
        with open("/dev/full", "w") as full:
            done = self.load("--seconds", "0.2", "--json", stdout=full)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot write to stdout", done.stderr)

    def test_a_connection_that_ends_counts_once_however_often_the_next_one_fails(self):
        relay = Relay()
        self.addCleanup(relay.close)
        run = subprocess.Popen(
            [LOAD, "--relay", relay.address, "--json", "--pairs", "2", "--warm-up", "0",
             "--seconds", "2", "--settle", "0.5"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)
        self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
        relay.stop()
        output, errors = run.communicate(timeout=100)
        self.assertEqual(run.returncode, 1, errors)
        self.assertEqual(json.loads(output.splitlines()[-1])["disconnects"], 4)

    def test_a_directory_is_no_scenario(self):
        done = self.load("--scenario", "/")
        self.assertEqual(done.returncode, 2)
        self.assertIn('no scenario and no file "/"', done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
