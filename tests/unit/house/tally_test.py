"""What tools/tally.py makes of the reports of `meson test`."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
import tally  # noqa: E402

BEGIN = '[doctest] doctest version is "2.4.9"\n'


def summary(passed, failed, skipped):
    count = passed + failed
    return (
        f"[doctest] test cases: {count:2} | "
        f"{passed:2} passed | {failed} failed | {skipped} skipped\n"
        f"[doctest] assertions: 90 | 90 passed | 0 failed |\n"
    )


def program(output, result="OK"):
    return {"name": "unit_x", "stdout": output, "result": result}


class TallyTest(unittest.TestCase):
    def check(self, entry, passed, failed, skipped=0):
        self.assertEqual(tally.tally_program(entry), tally.Tally(passed, failed, skipped))

    def test_a_program_adds_the_test_cases_of_its_summary(self):
        self.check(program(BEGIN + summary(12, 0, 3)), 12, 0, 3)
        self.check(program(BEGIN + summary(11, 1, 0), "FAIL"), 11, 1)

    def test_colours_do_not_hide_the_summary(self):
        coloured = summary(7, 0, 0).replace("[doctest]", "\x1b[0;36m[doctest]\x1b[0m")
        self.check(program(BEGIN + coloured), 7, 0)

    def test_a_crash_before_the_summary_counts_as_one_failure(self):
        self.check(program(BEGIN + "Segmentation fault", "FAIL"), 0, 1)

    def test_a_program_that_exits_in_good_order_without_its_summary_failed(self):
        self.check(program(BEGIN), 0, 1)
        self.check(program(""), 0, 1)

    def test_a_leak_found_after_every_test_case_passed_counts_as_one_failure(self):
        self.check(program(BEGIN + summary(5, 0, 0) + "LeakSanitizer", "FAIL"), 5, 1)

    def test_a_program_that_timed_out_failed(self):
        self.check(program("", "TIMEOUT"), 0, 1)

    def test_a_unittest_program_adds_its_tests_and_one_when_it_failed(self):
        ran = "Ran 13 tests in 0.083s\n\n"
        self.check(program("") | {"stderr": ran + "OK\n"}, 13, 0)
        self.check(program("") | {"stderr": ran + "OK (skipped=2)\n"}, 11, 0, 2)
        self.check(program("", "FAIL") | {"stderr": ran + "FAILED (failures=2)\n"}, 0, 1)

    def test_a_program_without_test_cases_counts_as_one(self):
        self.check(program("KEPT\n"), 1, 0)
        self.check(program("BROKEN\n", "FAIL"), 0, 1)

    def test_a_program_that_says_it_cannot_run_here_is_skipped(self):
        self.check(program("", "SKIP"), 0, 0, 1)

    def test_a_program_that_ran_no_test_case_passed_none(self):
        self.check(program(BEGIN + summary(0, 0, 9)), 0, 0, 9)

    def test_inputs_that_are_not_there_count_as_skipped(self):
        output = "vectors: skipped a.json\nvectors: checked 4, skipped 2\n"
        self.check(program(BEGIN + output + summary(6, 0, 0)), 6, 0, 2)


class ReportTest(unittest.TestCase):
    def run_main(self, *entries, failed=0):
        with tempfile.TemporaryDirectory() as directory:
            report = Path(directory) / "testlog.json"
            report.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
            missing = Path(directory) / "none.json"
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                status = tally.main(["--failed", str(failed), str(report), str(missing)])
            return status, out.getvalue().splitlines()

    def test_programs_and_builds_are_added_up_in_the_last_line(self):
        status, lines = self.run_main(
            program(BEGIN + summary(2, 0, 0)), program(BEGIN + summary(3, 0, 1))
        )
        self.assertEqual((status, lines), (0, ["5 passed, 0 failed, 1 skipped"]))

    def test_the_output_of_a_failing_program_is_shown_and_of_no_other(self):
        status, lines = self.run_main(
            program(BEGIN + "good\n" + summary(2, 0, 0)),
            program(BEGIN + "bad\n" + summary(1, 1, 0), "FAIL"),
        )
        self.assertEqual(status, 1)
        self.assertIn("bad", lines)
        self.assertNotIn("good", lines)
        self.assertEqual(lines[-1], "3 passed, 1 failed")

    def test_a_build_that_failed_fails_all(self):
        status, lines = self.run_main(program(BEGIN + summary(2, 0, 0)), failed=1)
        self.assertEqual((status, lines[-1]), (1, "2 passed, 1 failed"))

    def test_what_was_run_otherwise_is_added(self):
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(tally.main(["--passed", "2"]), 0)
            self.assertEqual(tally.main(["--passed", "2", "--failed", "1"]), 1)

    def test_nothing_run_is_no_success(self):
        self.assertEqual(self.run_main(), (1, ["0 passed, 0 failed"]))


if __name__ == "__main__":
    unittest.main()
