#!/usr/bin/env python3
"""Adds up what test programs printed, from the reports of `meson test` (testlog.json).

    tally.py [--passed N] [--failed N] REPORT...

Prints the whole output of each program that failed, then `N passed, N failed[, N skipped]`, in test
cases. A program without test cases counts as one. So does one that failed without naming a failed
test case: a crash, a time-out, a leak found at its end; or that ended in good order, but before its
summary or without a word. --passed and --failed add what was run otherwise. The exit status is 0
when something passed and nothing failed.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
BEGIN = "[doctest] doctest version"
CASES = re.compile(
    r"^\[doctest\] test cases:\s*\d+\s*\|"
    r"\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped",
    re.MULTILINE,
)
UNITTEST = re.compile(r"^Ran (\d+) tests? in [\d.]+s$", re.MULTILINE)
UNITTEST_SKIPPED = re.compile(r"^OK \(skipped=(\d+)\)$", re.MULTILINE)
# What a program says of inputs that are not on this machine: "vectors: checked 1, skipped 2".
SKIPPED_INPUTS = re.compile(r"^\w+: checked \d+, skipped (\d+)$", re.MULTILINE)
GOOD = {"OK", "SKIP", "EXPECTEDFAIL"}


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def tally_program(entry):
    """What one program adds; `entry` is one line of the report."""
    output = ESCAPES.sub("", (entry.get("stdout") or "") + (entry.get("stderr") or ""))
    succeeded = entry["result"] in GOOD
    tally = Tally()
    if summary := CASES.search(output):
        tally = Tally(*map(int, summary.groups()))
    elif succeeded and (summary := UNITTEST.search(output)):
        tally.skipped = sum(map(int, UNITTEST_SKIPPED.findall(output)))
        tally.passed = int(summary[1]) - tally.skipped
    elif entry["result"] == "SKIP":
        tally.skipped = 1
    elif succeeded and output.strip() and BEGIN not in output:
        tally.passed = 1
    else:
        succeeded = False
    if not succeeded and tally.failed == 0:
        tally.failed = 1
    tally.skipped += sum(map(int, SKIPPED_INPUTS.findall(output)))
    return tally


def print_failure(entry, report):
    print(f"---- FAILED: {entry['name']} ({entry['result']}), of {report.parent.parent.name}")
    for stream in ("stdout", "stderr"):
        text = (entry.get(stream) or "").rstrip()
        if text:
            print(text)


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--passed", type=int, default=0)
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("reports", nargs="*", type=Path)
    arguments = parser.parse_args(arguments)
    total = Tally(arguments.passed, arguments.failed)
    for report in arguments.reports:
        # meson writes no report when no test was selected.
        lines = report.read_text().splitlines() if report.exists() else []
        for entry in map(json.loads, lines):
            tally = tally_program(entry)
            if tally.failed:
                print_failure(entry, report)
            total.add(tally)
    print(total)
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
