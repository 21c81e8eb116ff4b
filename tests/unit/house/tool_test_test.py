"""What tools/test makes of a meson that ends early: it runs with a meson and a ninja that only say
what they are told to, on a copy of tools/, so that nothing is built."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).parents[3] / "tools"
PROGRAMS = ["unit_x", "unit_y", "unit_z"]

# Of `meson test`: --list names the programs, else the report and the exit status are as the
# directory of this stub holds them. Everything else succeeds.
MESON = """#!/bin/sh
here=$(dirname "$0")
[ "$1" = test ] || exit 0
case "$*" in *--list*) cat "$here/list"; exit 0 ;; esac
if [ -e "$here/report" ]; then
  mkdir -p "$3/meson-logs"
  cp "$here/report" "$3/meson-logs/testlog.json"
fi
exit "$(cat "$here/status")"
"""


def entry(name, result="OK"):
    return json.dumps({"name": f"unit / {name}", "stdout": "KEPT\n", "result": result})


class ToolTest(unittest.TestCase):
    def run_tool(self, *names, report, status=0, listed=PROGRAMS):
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            shutil.copytree(TOOLS, root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
            stubs = root / "stubs"
            stubs.mkdir()
            for name, text in ("meson", MESON), ("ninja", "#!/bin/sh\n"):
                (stubs / name).write_text(text)
                (stubs / name).chmod(0o755)
            (stubs / "list").write_text(
                "ninja: no work to do.\n" + "".join(f"godwit:unit / {one}\n" for one in listed)
            )
            (stubs / "status").write_text(str(status))
            if report is not None:
                (stubs / "report").write_text("".join(line + "\n" for line in report))
            environment = os.environ | {
                "PATH": f"{stubs}:{os.environ['PATH']}",
                "GODWIT_PACKAGES": "ready",
            }
            done = subprocess.run(
                [root / "tools" / "test", "--fast", *names],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            return done.returncode, done.stdout.splitlines()

    def check(self, ran, status, last, told=None):
        self.assertEqual((ran[0], ran[1][-1]), (status, last), ran[1])
        if told is not None:
            self.assertIn(told, ran[1])

    def test_a_report_of_every_program_is_counted(self):
        self.check(self.run_tool(report=map(entry, PROGRAMS)), 0, "3 passed, 0 failed")

    def test_a_report_that_is_not_there_is_a_failure(self):
        self.check(
            self.run_tool(report=None, status=1),
            1,
            "0 passed, 1 failed",
            "FAILED: build: 0 of 3 programs are in meson's report (its exit status was 1)",
        )

    def test_a_report_of_some_programs_is_a_failure(self):
        for status in 0, 1:
            self.check(
                self.run_tool(report=map(entry, PROGRAMS[:2]), status=status),
                1,
                "2 passed, 1 failed",
                "FAILED: build: 2 of 3 programs are in meson's report"
                f" (its exit status was {status})",
            )

    def test_a_build_that_names_no_test_is_a_failure(self):
        self.check(
            self.run_tool(report=map(entry, PROGRAMS), listed=[]),
            1,
            "3 passed, 1 failed",
            "FAILED: build: meson names no test (its exit status was 0)",
        )

    def test_an_exit_status_that_no_program_explains_is_a_failure(self):
        told = "FAILED: build: meson's exit status was 2, and no program in its report failed"
        ran = self.run_tool(report=map(entry, PROGRAMS), status=2)
        self.check(ran, 1, "3 passed, 1 failed", told)
        ran = self.run_tool("unit_x", report=[entry("unit_x")], status=2)
        self.check(ran, 1, "1 passed, 1 failed", told)

    def test_a_program_that_failed_is_counted_once(self):
        report = [entry("unit_x"), entry("unit_y", "FAIL"), entry("unit_z", "SKIP")]
        self.check(self.run_tool(report=report, status=1), 1, "1 passed, 1 failed, 1 skipped")

    def test_named_programs_need_no_report_of_all(self):
        self.check(
            self.run_tool("unit_x", report=[entry("unit_x")]), 0, "1 passed, 0 failed"
        )

    def test_a_name_that_no_program_has_is_one_failure(self):
        self.check(
            self.run_tool("unit_q", report=None), 1, "0 passed, 1 failed",
            "FAILED: no test unit_q was run",
        )

    def test_what_does_not_build_is_one_failure(self):
        self.check(
            self.run_tool(report=None, status=125), 1, "0 passed, 1 failed",
            "FAILED: build does not build",
        )


if __name__ == "__main__":
    unittest.main()
