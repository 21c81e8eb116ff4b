"""The load generator as a tester meets it: its verdict, its report, what it refuses."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import Relay, children_of, keep_what_is_left_behind  # noqa: E402

LOAD = os.environ["GODWIT_LOAD"]
SHORT = ["--warm-up", "0.2", "--seconds", "1", "--settle", "20"]
NO_FAULT = {"lost": 0, "duplicated": 0, "reordered": 0, "corrupted": 0, "refused": 0,
            "unanswered": 0, "undelivered": 0, "unconfirmed": 0, "unsent": 0, "late": 0,
            "unchecked": []}


def setUpModule():
    keep_what_is_left_behind()


def load(*options):
    return subprocess.run([LOAD, "--quiet", *options], capture_output=True, text=True, timeout=120)


class LoadTest(unittest.TestCase):
    def passes(self, *options):
        done = load("--own-relay", "--json", *SHORT, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(report["verdict"], "PASS")
        self.assertEqual(report["faults"], [])
        self.assertEqual({name: report[name] for name in NO_FAULT}, NO_FAULT)
        return report

    def refuses(self, words, *options):
        done = load(*options)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn(words, done.stderr)
        self.assertEqual(done.stdout, "")

    # ---- Scenarios ----

    # It takes longer than a relay waits for a word of a session; the other tests run meanwhile.
    @classmethod
    def setUpClass(cls):
        cls.idle = subprocess.Popen(
            [LOAD, "--quiet", "--own-relay", "--json", "--scenario", "idle", "--sessions", "10",
             "--warm-up", "0", "--seconds", "125"], stdout=subprocess.PIPE, text=True)

    @classmethod
    def tearDownClass(cls):
        cls.idle.kill()
        cls.idle.communicate()

    def test_who_has_nothing_to_say_stays(self):
        report = json.loads(self.idle.communicate(timeout=200)[0].splitlines()[-1])
        self.assertEqual((report["verdict"], report["faults"]), ("PASS", []))
        self.assertEqual(report["connections"], 12)  # and a pair, whose messages are timed

    def test_pairs_that_are_online(self):
        report = self.passes("--pairs", "10", "--window", "8")
        self.assertEqual(report["connections"], 20)
        self.assertEqual(report["accepted"], report["delivered"])
        self.assertGreater(report["accepted_per_s"], 0)
        self.assertGreater(report["p50_us"], 0)
        self.assertLessEqual(report["p50_us"], report["p99_us"])
        self.assertGreater(report["relay_rss_bytes"], 0)
        self.assertNotEqual(report["relay_version"], "")

    def test_an_open_loop_sends_what_is_due(self):
        report = self.passes("--pairs", "10", "--rate", "500", "--warm-up", "0", "--messages", "40")
        self.assertEqual(report["accepted"], 400)
        self.assertLessEqual(report["accepted_per_s"], 550)

    def test_recipients_that_come_back_drain_their_mailboxes(self):
        report = self.passes("--scenario", "offline", "--pairs", "20", "--senders", "4",
                             "--messages", "50", "--seconds", "30", "--drain-at-random")
        self.assertEqual(report["accepted"], 1000)
        self.assertEqual(report["delivered"], 1000)
        self.assertEqual(report["connections"], 24)
        self.assertGreater(report["drain_seconds"], 0)
        self.assertGreater(report["relay_store_bytes"], 0)

    def test_a_group(self):
        report = self.passes("--scenario", "fanout", "--group", "20", "--messages", "5")
        self.assertEqual(report["delivered"], 100)
        self.assertGreater(report["delivered_per_s"], 0)  # all of them are measured

    def test_sessions_that_are_idle_and_sessions_that_come_and_go(self):
        report = self.passes("--scenario", "idle", "--sessions", "40")
        self.assertEqual(report["connections"], 42)
        report = self.passes("--scenario", "idle", "--sessions", "10", "--pairs", "0")
        self.assertEqual(report["connections"], 10)
        report = self.passes("--scenario", "churn", "--sessions", "20", "--churn", "30",
                             "--rate", "100")
        self.assertGreater(report["logins_per_s"], 10)

    def test_everything_at_once(self):
        report = self.passes("--scenario", "mixed", "--pairs", "20", "--rate", "300",
                             "--sessions", "10", "--churn", "10", "--payload", "64-512:9,65536:1")
        self.assertGreater(report["delivered"], 0)

    def test_a_share_of_media_shows_in_the_bytes(self):
        report = self.passes("--pairs", "4", "--messages", "100", "--payload", "100",
                             "--media-share", "0.5", "--media", "60000")
        self.assertEqual(report["delivered"], 400)
        bytes_each = report["delivered_bytes_per_s"] / report["delivered_per_s"]
        self.assertGreater(bytes_each, 0.4 * 60000)
        self.assertLess(bytes_each, 0.6 * 60000)

    # ---- Several processes ----

    def test_processes_share_the_load_and_their_sums_agree(self):
        report = self.passes("--processes", "2", "--pairs", "5", "--messages", "40",
                             "--payload", "100", "--sessions", "9", "--rate", "1000")
        self.assertEqual(report["submitted"], 200)
        self.assertEqual(report["accepted"], 200)
        self.assertEqual(report["delivered"], 200)
        self.assertEqual(report["connections"], 19)
        self.assertAlmostEqual(report["delivered_bytes_per_s"] / report["delivered_per_s"], 100)
        self.assertLessEqual(report["p50_us"], report["p99_us"])
        self.assertGreater(report["relay_rss_bytes"], 0)

    def test_processes_without_an_end_measure_in_step(self):
        report = self.passes("--processes", "3", "--pairs", "3", "--window", "4")
        self.assertEqual(report["accepted"], report["delivered"])
        self.assertLess(report["seconds"], 2)

    def test_processes_drain_together(self):
        report = self.passes("--scenario", "mixed", "--processes", "3", "--pairs", "7", "--rate",
                             "300", "--sessions", "2", "--churn", "5", "--away", "0.2")
        self.assertEqual(report["accepted"], report["delivered"])
        report = self.passes("--scenario", "offline", "--processes", "2", "--pairs", "20",
                             "--senders", "4", "--messages", "50", "--seconds", "30")
        self.assertEqual(report["delivered"], 1000)
        self.assertEqual(report["connections"], 24)
        self.assertGreater(report["drain_seconds"], 0)

    def test_processes_with_the_whole_sdk(self):
        report = self.passes("--e2ee", "--processes", "2", "--pairs", "2", "--window", "4")
        self.assertEqual(report["accepted"], report["delivered"])
        self.assertGreater(report["delivered"], 0)

    def test_a_relay_that_is_killed_under_processes_loses_nothing(self):
        report = self.passes("--processes", "2", "--chaos", "kill:0.4s", "--seconds", "1.5",
                             "--pairs", "10", "--window", "4")
        self.assertGreater(report["disconnects"], 0)

    def test_what_one_process_is_refused_fails_the_verdict_on_all(self):
        full = ["--own-relay", *SHORT, "--scenario", "offline", "--processes", "2", "--pairs", "2",
                "--senders", "2", "--messages", "30", "--window", "30", "--relay-set",
                "limits.mailbox_envelopes_max=10"]
        done = load(*full)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"FAULT: \d+ refused by the relay \(mailbox_full \d+\)\n")
        self.assertEqual(load(*full, "--refused-max", "60").returncode, 0)

    def measuring(self, **environment):
        run = subprocess.Popen([LOAD, "--own-relay", "--json", "--seconds", "60", "--pairs", "5",
                                "--processes", "2"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **environment})
        self.addCleanup(run.kill)
        self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
        return run

    def test_a_process_that_is_killed_fails_the_verdict(self):
        run = self.measuring()
        first, second = children_of(run, "godwit-load")
        os.kill(second, signal.SIGKILL)
        output, errors = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 1, errors)
        report = json.loads(output.splitlines()[-1])
        self.assertEqual(report["verdict"], "FAIL")
        self.assertEqual(report["faults"][0],
                         "process 2: it ended before its report, by signal 9")
        self.assertGreater(report["delivered"], 0)
        self.assertFalse(Path(f"/proc/{first}").exists())

    def test_an_interrupt_ends_all_processes_with_a_report(self):
        run = self.measuring()
        parts = children_of(run, "godwit-load")
        self.assertEqual(len(parts), 2)
        for pid in [run.pid, *parts]:  # as a terminal does
            with contextlib.suppress(ProcessLookupError):  # the first one ends the others
                os.kill(pid, signal.SIGINT)
        output, errors = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 0, errors)
        report = json.loads(output.splitlines()[-1])
        self.assertTrue(report["interrupted"])
        self.assertGreater(report["delivered"], 0)
        self.assertEqual([pid for pid in parts if Path(f"/proc/{pid}").exists()], [])

    def test_processes_end_with_the_one_that_forked_them(self):
        with tempfile.TemporaryDirectory(prefix="godwit-test-") as directory:
            run = self.measuring(TMPDIR=directory)  # it cannot remove what it made there
            ends = [os.pidfd_open(pid) for name in ("godwit-load", "godwit-relay")
                    for pid in children_of(run, name)]
            self.assertEqual(len(ends), 3)
            run.kill()
            run.communicate(timeout=30)
            for end in ends:
                readable, _, _ = select.select([end], [], [], 30)
                os.close(end)
                self.assertEqual(readable, [end])

    # ---- Other ways ----

    def test_the_whole_sdk(self):
        report = self.passes("--e2ee", "--pairs", "2", "--window", "4")
        self.assertEqual(report["accepted"], report["delivered"])
        self.assertGreater(report["delivered"], 0)

    def test_a_relay_that_is_killed_loses_nothing(self):
        report = self.passes("--chaos", "kill:0.4s", "--seconds", "1.5", "--pairs", "10",
                             "--window", "4")
        self.assertGreater(report["disconnects"], 0)

    def test_the_report_says_how_to_repeat_the_run(self):
        report = self.passes("--pairs", "2", "--payload", "64-128:3,4096:1", "--relay-set",
                             'log.level="error"')
        settings = report["settings"]
        self.assertEqual({name: settings[name] for name in ("pairs", "payload", "rate", "window",
                                                            "warm_up", "settle", "seconds")},
                         {"pairs": "2", "payload": "64-128:3,4096:1", "rate": "0", "window": "32",
                          "warm_up": "0.2", "settle": "20", "seconds": "1"})
        self.assertNotEqual(settings["seed"], "0")  # the one that was drawn
        self.assertEqual(shlex.split(report["command"]),
                         ["godwit-load", "--quiet", "--own-relay", "--json", *SHORT, "--pairs",
                          "2", "--payload", "64-128:3,4096:1", "--relay-set",
                          'log.level="error"'])
        again = self.passes("--pairs", "2", "--seed", settings["seed"])
        self.assertEqual(again["settings"]["seed"], settings["seed"])

    def test_help_names_units_and_defaults(self):
        text = load("--help").stdout
        self.assertRegex(text, r"--settle SECONDS\W+30\b")
        self.assertRegex(text, r"--payload BYTES\W+256\b")
        self.assertNotIn("TEXT", text)

    def test_a_file_is_a_scenario(self):
        with tempfile.TemporaryDirectory(prefix="godwit-test-") as directory:
            file = Path(directory) / "monday.toml"
            file.write_text('base = "fanout"\ngroup = 5\nmessages = 3\n[relay]\n'
                            '"network.loops" = 1\n')
            report = self.passes("--scenario", str(file))
            self.assertEqual(report["scenario"], "monday")
            self.assertEqual(report["delivered"], 15)
            file.write_text("pairs = 3\ngruop = 5\n")
            self.refuses('line 2: there is no setting "gruop"; did you mean "group"?',
                         "--own-relay", "--scenario", str(file))

    # ---- The verdict ----

    def test_an_overload_is_incomplete_and_no_loss(self):
        done = load("--own-relay", "--json", "--pairs", "2", "--rate", "1000000", "--warm-up", "0",
                    "--seconds", "1", "--settle", "0.5", "--refused-max", "1000000")
        report = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(report["verdict"], "INCOMPLETE", report["faults"])
        self.assertEqual(done.returncode, 3)
        self.assertEqual(report["faults"], [])
        self.assertEqual(report["lost"], 0)
        self.assertGreater(report["unsent"], 0)
        self.assertEqual(report["submitted"],
                         report["accepted"] + report["refused"] + report["unanswered"])
        self.assertEqual(report["accepted"], report["delivered"] + report["undelivered"])
        self.assertIn("not submitted in time", report["unchecked"][0])
        self.assertIn("NOT CHECKED: ", done.stderr)

    def test_a_relay_that_stands_still_fails_the_verdict_and_has_lost_nothing(self):
        relay = Relay()
        self.addCleanup(relay.close)
        run = subprocess.Popen([LOAD, "--relay", relay.address, "--json", "--pairs", "2",
                                "--seconds", "2", "--settle", "1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)
        self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
        os.kill(relay.pid, signal.SIGSTOP)
        output, errors = run.communicate(timeout=30)
        os.kill(relay.pid, signal.SIGCONT)
        self.assertEqual(run.returncode, 1, errors)
        report = json.loads(output.splitlines()[-1])
        self.assertEqual(report["verdict"], "FAIL")
        self.assertRegex(report["faults"][0], "^the relay stood still: nothing was answered, "
                         r"delivered or confirmed for 1 s, though \d+ submits had no answer")
        self.assertEqual(report["lost"], 0)

    def test_what_was_never_submitted_is_not_in_flight(self):
        run = subprocess.run([LOAD, "--own-relay", "--pairs", "1", "--rate", "1000000",
                              "--warm-up", "0", "--seconds", "1.5", "--settle", "0.5"],
                             capture_output=True, text=True, timeout=120)
        in_flight = [int(count.replace(",", ""))
                     for count in re.findall(r"([\d,]+) in flight", run.stderr)]
        self.assertTrue(in_flight, run.stderr)
        self.assertLessEqual(max(in_flight), 1024)  # the relay takes no more of one connection

    def test_what_waits_for_a_full_mailbox_was_never_submitted(self):
        done = load("--own-relay", "--json", "--scenario", "offline", "--pairs", "2", "--senders",
                    "1", "--rate", "200", "--seconds", "1", "--settle", "1", "--refused-max",
                    "400", "--relay-set", "limits.mailbox_envelopes_max=10")
        report = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(report["verdict"], "INCOMPLETE", report["faults"])
        self.assertEqual(report["unanswered"], 0)
        self.assertGreater(report["refused"], 0)
        self.assertGreater(report["unsent"], 0)

    def test_refusals_fail_the_verdict_unless_they_are_allowed(self):
        full = ["--own-relay", "--json", *SHORT, "--scenario", "offline", "--pairs", "1",
                "--senders", "1", "--messages", "30", "--window", "30", "--relay-set",
                "limits.mailbox_envelopes_max=10"]
        done = load(*full)
        self.assertEqual(done.returncode, 1, done.stderr)
        report = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(report["verdict"], "FAIL")
        self.assertGreater(report["refused"], 0)
        self.assertRegex(report["faults"][0], r"^\d+ refused by the relay \(mailbox_full \d+\)$")
        self.assertEqual(report["refused_by_code"], {"mailbox_full": report["refused"]})
        self.assertEqual(load(*full, "--refused-max", "30").returncode, 0)

    def test_what_is_late_fails_the_verdict(self):
        done = load("--own-relay", *SHORT, "--pairs", "50", "--window", "64", "--late-ms", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("late: delivered after more than the time that was set", done.stdout)

    def test_the_line_of_progress_fits_its_terminal_and_the_summary_stands_below(self):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        run = subprocess.Popen([LOAD, "--own-relay", *SHORT, "--pairs", "1"], stdout=theirs,
                               stderr=theirs)
        self.addCleanup(run.kill)
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        self.assertEqual(run.wait(timeout=30), 0)
        progress, _, summary = shown.decode().partition("\r\n")
        lines = progress.split("\r")
        self.assertGreater(len(lines), 3)
        self.assertLess(max(map(len, lines)), 50)
        self.assertRegex(summary, r"^  accepted +[\d.]+ per second\r\n")

    def test_the_page_is_written(self):
        with tempfile.TemporaryDirectory(prefix="godwit-test-") as directory:
            page = Path(directory) / "report.html"
            self.passes("--pairs", "2", "--html", str(page))
            self.assertIn("PASS", page.read_text())

    def test_an_interrupt_before_anything_was_measured_is_no_pass(self):
        run = subprocess.Popen([LOAD, "--own-relay", "--json", "--warm-up", "60", "--pairs", "5"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)
        self.assertTrue(any("register" in line for line in run.stderr), "it never began")
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 3, errors)
        report = json.loads(output.splitlines()[-1])
        self.assertEqual(report["verdict"], "INCOMPLETE")
        self.assertRegex(report["unchecked"][0], "^nothing was measured")

    def test_an_interrupt_from_a_terminal_spares_the_relay_and_the_processes(self):
        for processes in ("1", "2"):
            run = subprocess.Popen([LOAD, "--own-relay", "--json", "--seconds", "60", "--pairs",
                                    "4", "--processes", processes], start_new_session=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(run.kill)
            self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
            relay, = children_of(run, "godwit-relay")
            os.killpg(run.pid, signal.SIGINT)
            output, errors = run.communicate(timeout=30)
            self.assertEqual(run.returncode, 0, errors)
            report = json.loads(output.splitlines()[-1])
            self.assertTrue(report["interrupted"])
            self.assertEqual(report["disconnects"], 0)
            self.assertFalse(Path(f"/proc/{relay}").exists())

    def test_an_interrupt_ends_the_run_with_a_report(self):
        run = subprocess.Popen([LOAD, "--own-relay", "--json", "--seconds", "60", "--pairs", "5"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertTrue(any("measure" in line for line in run.stderr), "it never measured")
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 0, errors)
        report = json.loads(output.splitlines()[-1])
        self.assertTrue(report["interrupted"])
        self.assertGreater(report["delivered"], 0)

    # ---- Somebody's relay ----

    def test_a_relay_that_runs_already(self):
        relay = Relay()
        self.addCleanup(relay.close)
        for _ in range(2):  # accounts of two runs do not meet
            done = load("--relay", relay.address, "--json", *SHORT, "--pairs", "3")
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual(report["verdict"], "PASS")
            self.assertIsNone(report["relay_rss_bytes"])

    def test_a_relay_elsewhere_is_not_loaded_unasked(self):
        key = "A" * 43
        self.refuses("is not this machine", "--relay", f"godwit://{key}@192.0.2.1:7700")

    def test_a_relay_that_is_not_there_is_said_and_not_judged(self):
        relay = Relay()
        address = relay.address
        relay.close()
        for processes in ("1", "2"):
            self.refuses("2 devices could not log in: nobody listens there", "--relay", address,
                         "--pairs", processes, "--processes", processes)

    def test_a_wrong_key_is_said_and_not_judged(self):
        relay = Relay()
        self.addCleanup(relay.close)
        wrong = "godwit://" + "A" * 42 + "k@" + relay.address.partition("@")[2]
        self.refuses("is KEY in godwit://KEY@HOST:PORT that of the relay", "--relay", wrong,
                     "--pairs", "1")

    def test_registrations_beyond_the_limit_are_named_with_their_settings(self):
        done = load("--own-relay", "--json", "--pairs", "10", "--relay-set",
                    "network.unlimited_from=[]", "--relay-set", "rates.registrations_per_hour=5")
        self.assertEqual(done.returncode, 1, done.stderr)
        report = json.loads(done.stdout.splitlines()[-1])
        self.assertRegex(report["faults"][0], r"^15 of 20 devices could not log in: the relay "
                         "refused a registration: rate_limited; in its relay.toml, "
                         "registrations_per_hour .* unlimited_from")
        self.assertEqual(list(report["logins_refused_by_code"]), ["rate_limited"])
        self.assertEqual(report["disconnects"], 0)

    # ---- Wrong usage ----

    def test_wrong_usage_is_told_in_a_sentence(self):
        self.refuses("say which relay", "--pairs", "3")
        self.refuses("godwit://", "--relay", "127.0.0.1:7700")
        self.refuses('"many" does not fit pairs', "--own-relay", "--pairs", "many")
        self.refuses('"2" does not fit media_share: it must be a share, 0 to 1', "--own-relay",
                     "--media-share", "2")
        self.refuses("a medium has 32 bytes to 72 KiB", "--own-relay", "--media", "100000")
        self.refuses("more processes than pairs or sessions", "--own-relay", "--processes", "5",
                     "--pairs", "4")
        self.refuses("no scenario and no file", "--own-relay", "--scenario", "onlin")
        self.refuses("kill:5s", "--own-relay", "--chaos", "kill")
        self.refuses("it has to be --own-relay", "--relay", "godwit://k@127.0.0.1:1", "--chaos",
                     "kill:1s")
        self.refuses("cannot write", "--own-relay", "--html", "/nowhere/report.html")
        self.refuses("section.key=VALUE", "--own-relay", "--relay-set", "loops=1")
        self.refuses("godwit-load: The following argument was not expected: --pears", "--pears")
        self.refuses("godwit-load: Could not convert: --relay-pid = many", "--relay-pid", "many")

    def test_a_process_that_is_no_relay_is_not_measured(self):
        relay = Relay()
        self.addCleanup(relay.close)
        here = ["--relay", relay.address, "--relay-pid"]
        self.refuses("and not godwit-relay", *here, str(os.getpid()))
        gone = subprocess.Popen(["true"])
        gone.wait()
        self.refuses("there is no such process", *here, str(gone.pid))
        done = load(*here, str(relay.pid), "--json", *SHORT, "--pairs", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsNotNone(json.loads(done.stdout.splitlines()[-1])["relay_rss_bytes"])

    def test_a_relay_binary_that_does_not_run_is_said(self):
        self.refuses("--relay-binary /nowhere/relay: No such file", "--own-relay",
                     "--relay-binary", "/nowhere/relay")
        self.refuses("/bin/false ended with status 1", "--own-relay", "--relay-binary",
                     "/bin/false")

    def test_help_is_no_error(self):
        self.assertEqual(load("--help").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
