"""What tools/bench asks of the load programs, and what it makes of the figures they print."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
_path = str(Path(__file__).parents[3] / "tools" / "bench")
_loader = importlib.machinery.SourceFileLoader("bench", _path)
bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", _loader))
_loader.exec_module(bench)
import bench_report as report  # noqa: E402  (tools/bench has made its folder known)

SYSTEMS = {"godwit": "godwit", "redis": "redis (fsync always)"}
RATE_ROW = report.Row("pairs", "pairs", "delivered_per_s", "msgs/s", "more", "redis")
COST_ROW = report.Row("pairs", "pairs: broker", "relay_cpu_s_per_million", "CPU-s/M", "less", 6)


def rows_of(godwit, redis, rows=(RATE_ROW, COST_ROW)):
    """Of runs given as (rate, cost)."""
    results = {
        (system, "pairs"): [{RATE_ROW.field: rate, COST_ROW.field: cost} for rate, cost in runs]
        for system, runs in (("godwit", godwit), ("redis", redis))
    }
    return report.make_rows(rows, SYSTEMS, results)


class BenchTest(unittest.TestCase):
    def test_a_figure_is_the_median_of_its_rounds(self):
        rate, cost = rows_of([(10, 9), (90, 1), (20, 4)], [(1, 1)])
        self.assertEqual(rate["figures"]["godwit"], 20)
        self.assertEqual(cost["figures"]["godwit"], 4)

    def test_a_relative_bar_is_the_figure_of_the_other_system_in_the_same_run(self):
        (row,) = rows_of([(100, 1)], [(101, 1)], [RATE_ROW])
        self.assertEqual((row["bar"], row["met"]), (101, False))
        (row,) = rows_of([(101, 1)], [(101, 1)], [RATE_ROW])
        self.assertTrue(row["met"])

    def test_less_is_better_where_it_is_a_cost(self):
        (row,) = rows_of([(1, 6.0)], [], [COST_ROW])
        self.assertTrue(row["met"])
        (row,) = rows_of([(1, 6.1)], [], [COST_ROW])
        self.assertFalse(row["met"])

    def test_a_bar_whose_system_was_not_measured_is_neither_met_nor_missed(self):
        (row,) = rows_of([(100, 1)], [], [RATE_ROW])
        self.assertIsNone(row["met"])
        self.assertEqual(report.cells(row, SYSTEMS), ["pairs", "msgs/s", "100", "-", "≥ redis", ""])

    def test_a_figure_that_a_run_does_not_have_is_no_zero(self):
        (row,) = rows_of([(100, None), (100, 3)], [], [COST_ROW])
        self.assertEqual(row["figures"]["godwit"], 3)

    def test_numbers_have_three_digits_that_say_something(self):
        numbers = [report.format_number(value) for value in (None, 0.5, 54.32, 163_000.4)]
        self.assertEqual(numbers, ["-", "0.50", "54.3", "163,000"])

    def test_costs_stand_in_a_table_of_their_own(self):
        parts = report.sections(rows_of([(1, 1)], [(1, 1)]))
        self.assertEqual([[row["title"] for row in rows] for _, rows in parts],
                         [["pairs"], ["pairs: broker"]])  # fmt: skip

    def test_a_table_has_as_many_cells_in_each_line_as_in_its_head(self):
        lines = report.markdown_table(rows_of([(1, 1)], []), SYSTEMS).splitlines()
        self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")})

    def test_the_page_charts_what_was_measured_and_needs_no_other_file(self):
        found = {"facts": ["a < b"], "systems": SYSTEMS, "rows": rows_of([(2, 1)], [(4, 1)]),
                 "sdk": "### S\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "failures": []}  # fmt: skip
        page = report.page(found)
        self.assertEqual(page.count("<svg"), 2)
        self.assertIn("a &lt; b", page)
        self.assertIn("<td>1</td><td>2</td>", page)
        self.assertNotIn("http", page)

    def test_the_rate_of_half_is_asked_of_both_load_programs_and_an_order_in_their_own_words(self):
        by_key = {measurement.key: measurement for measurement in bench.MEASUREMENTS}
        for system in ("godwit", "nats"):
            words = bench.load_arguments(by_key["half-rate"], system, False, 500.2)
            self.assertEqual(words[words.index("--rate") + 1], "500")
        words = bench.load_arguments(by_key["offline-random"], "godwit", False, None)
        self.assertIn("--drain-at-random", words)
        self.assertEqual(words[words.index("--window") + 1], "1")
        words = bench.load_arguments(by_key["offline-random"], "redis", False, None)
        self.assertEqual(words[words.index("--order") + 1], "random")
        self.assertEqual(words[words.index("--window") + 1], "500")

    def test_what_a_row_takes_its_rate_from_is_measured_before_it(self):
        keys = [measurement.key for measurement in bench.choose_measurements(["half-rate"])]
        self.assertEqual(keys, ["pairs-100-32", "half-rate"])


if __name__ == "__main__":
    unittest.main()
