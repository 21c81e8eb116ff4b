"""Trouble of the load generator's own: signals, a small machine, a relay that is far away, hidden
behind a name, or nowhere. None of it is a fault of the relay."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import Relay, children_of, keep_what_is_left_behind  # noqa: E402

LOAD = os.environ["GODWIT_LOAD"]


def setUpModule():
    keep_what_is_left_behind()


def end(run):
    run.kill()
    run.communicate()


class SignalTest(unittest.TestCase):
    def start(self, *options, **settings):
        """A run that lasts three seconds, in its measured time."""
        run = subprocess.Popen(
            [LOAD, "--own-relay", "--json", "--pairs", "4", "--warm-up", "0", "--seconds", "3",
             *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)
        self.addCleanup(end, run)
        self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
        return run

    def report_of(self, run):
        output, errors = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, errors)
        return json.loads(output.splitlines()[-1])

    def test_nohup_holds(self):
        run = self.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        run.send_signal(signal.SIGHUP)
        report = self.report_of(run)
        self.assertIs(report["interrupted"], False)
        self.assertGreater(report["seconds"], 2.5)

    def test_a_signal_that_comes_to_the_process_and_to_its_group_is_one(self):
        run = self.start()
        for _ in range(3):
            run.send_signal(signal.SIGTERM)
            time.sleep(0.004)
        self.assertIs(self.report_of(run)["interrupted"], True)

    def test_a_terminal_that_hangs_up_twice_ends_no_process_before_its_report(self):
        run = self.start("--processes", "2")
        for part in children_of(run, "godwit-load"):
            for _ in range(2):
                os.kill(part, signal.SIGHUP)
                time.sleep(0.05)
        self.assertEqual(self.report_of(run)["faults"], [])


class MachineTest(unittest.TestCase):
    def refuses(self, words, *options, **settings):
        done = subprocess.run([LOAD, "--quiet", *options], capture_output=True, text=True,
                              timeout=60, **settings)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_a_load_that_needs_more_descriptors_than_there_are_says_so_first(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

        advice = "raise it, or share the load: --processes"
        self.refuses(advice, "--own-relay", "--pairs", "100", preexec_fn=few)
        self.refuses(advice, "--own-relay", "--e2ee", "--pairs", "10", preexec_fn=few)

    def test_a_load_that_needs_more_ports_than_there_are_says_so_first(self):
        first, last = map(
            int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        self.refuses(f"{last - first + 1} ports", "--own-relay", "--sessions", "70000")

    def test_a_directory_for_temporary_files_that_is_none_is_said_in_a_sentence(self):
        self.refuses("TMPDIR", "--own-relay", env={**os.environ, "TMPDIR": "/nowhere"})


class FarAwayTest(unittest.TestCase):
    # The look-up of a name, where none needs a server: this one is 127.0.0.1, if it is looked up.
    def test_a_relay_may_be_given_by_a_name(self):
        relay = Relay()
        self.addCleanup(relay.close)
        address = relay.address.replace("127.0.0.1", "127.1")
        self.assertIn("@127.1:", address)
        done = subprocess.run(
            [LOAD, "--quiet", "--json", "--relay", address, "--pairs", "2", "--warm-up", "0",
             "--seconds", "0.5"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("127.1:", json.loads(done.stdout)["relay"])

    def test_a_name_that_nobody_has_is_said(self):
        key = "A" * 42 + "k"
        done = subprocess.run(
            [LOAD, "--quiet", "--relay", f"godwit://{key}@nobody.invalid:7700",
             "--i-own-this-relay"], capture_output=True, text=True, timeout=60,
            env={**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("nobody.invalid cannot be found", done.stderr)

    # Four digits and a dot begin many an address of this machine, and many a name of others.
    def test_a_name_that_begins_like_this_machine_is_not_taken_for_it(self):
        key = "A" * 42 + "k"
        done = subprocess.run([LOAD, "--quiet", "--relay", f"godwit://{key}@127.example:7700"],
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"})
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, "cannot be found|is not this machine")


class PeopleTest(unittest.TestCase):
    """--e2ee: real clients, that wait longer and longer before they connect again."""

    def test_clients_of_a_relay_that_is_killed_again_and_again_come_back(self):
        done = subprocess.run(
            [LOAD, "--quiet", "--json", "--own-relay", "--e2ee", "--pairs", "8", "--window", "2",
             "--warm-up", "0", "--chaos", "kill:0.3s", "--seconds", "10", "--settle", "3"],
            capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_relay_that_is_not_there_is_said_soon(self):
        relay = Relay()
        address = relay.address
        relay.close()
        began = time.monotonic()
        done = subprocess.run([LOAD, "--quiet", "--e2ee", "--pairs", "2", "--relay", address],
                              capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 2)
        self.assertIn("nobody could log in", done.stderr)
        self.assertLess(time.monotonic() - began, 30)

    def test_who_waits_for_a_relay_can_be_interrupted(self):
        relay = Relay()
        address = relay.address
        relay.close()
        run = subprocess.Popen([LOAD, "--e2ee", "--pairs", "2", "--relay", address],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(end, run)
        time.sleep(1.5)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=8)


if __name__ == "__main__":
    unittest.main()
