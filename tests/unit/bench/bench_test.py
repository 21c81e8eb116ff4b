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


def by_key():
    return {measurement.key: measurement for measurement in bench.MEASUREMENTS}


def chosen(only, quick=False):
    return [measurement.key for measurement in bench.choose_measurements(only, quick)]


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

    def test_a_row_over_another_is_the_quotient_of_their_medians(self):
        row = report.Row("loud", "loud", "p99_us", "times", "less", 3, over="quiet")
        results = {("godwit", "loud"): [{"p99_us": 90}, {"p99_us": 10}, {"p99_us": 40}],
                   ("godwit", "quiet"): [{"p99_us": 16}, {"p99_us": 1}, {"p99_us": 99}]}
        (made,) = report.make_rows([row], SYSTEMS, results)
        self.assertEqual((made["figures"]["godwit"], made["met"]), (2.5, True))
        (made,) = report.make_rows([row._replace(bar=2.4)], SYSTEMS, results)
        self.assertFalse(made["met"])
        for gone in results:
            left = {key: runs for key, runs in results.items() if key != gone}
            (made,) = report.make_rows([row], SYSTEMS, left)
            self.assertEqual((made["figures"]["godwit"], made["met"]), (None, None))

    def test_a_field_is_shown_in_the_unit_of_its_row(self):
        row = report.Row("full", "full", "bytes", "MiB", "less", None, scale=2**-20)
        (made,) = report.make_rows([row], SYSTEMS, {("godwit", "full"): [{"bytes": 3 * 2**20}]})
        self.assertEqual(made["figures"]["godwit"], 3)

    def test_costs_and_growth_stand_in_tables_of_their_own(self):
        rows = rows_of([(1, 1)], [(1, 1)])
        growth = COST_ROW._replace(measurement="growth-x", title="x")
        rows += report.make_rows([growth], SYSTEMS, {})
        self.assertEqual([[row["title"] for row in part] for _, part in report.sections(rows)],
                         [["pairs"], ["pairs: broker"], ["x"]])  # fmt: skip

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

    def test_a_figure_that_nothing_compares_with_has_no_chart(self):
        alone = {"godwit": 7, "redis": None}
        row = {"title": "x", "unit": "us", "better": "less", "figures": alone, "bar": None}
        self.assertEqual(report.page_chart(row), "")
        self.assertIn("<svg", report.page_chart({**row, "bar": 3}))

    def test_the_rate_of_half_is_asked_of_both_load_programs_and_an_order_in_their_own_words(self):
        for system in ("godwit", "nats"):
            words = bench.load_arguments(by_key()["half-rate"], system, False, 500.2)
            self.assertEqual(words[words.index("--rate") + 1], "500")
        words = bench.load_arguments(by_key()["offline-random"], "godwit", False, None)
        self.assertIn("--drain-at-random", words)
        self.assertEqual(words[words.index("--window") + 1], "1")
        words = bench.load_arguments(by_key()["offline-random"], "redis", False, None)
        self.assertEqual(words[words.index("--order") + 1], "random")
        self.assertEqual(words[words.index("--window") + 1], "500")

    def test_what_a_row_takes_its_rate_from_is_measured_before_it(self):
        self.assertEqual(chosen(["half-rate"]), ["pairs-100-32", "half-rate"])

    def test_what_a_row_is_divided_by_is_measured_too(self):
        self.assertEqual(chosen(["storm-2000"]), ["storm-quiet", "storm-2000"])

    def test_a_group_is_all_of_its_measurements_and_no_other(self):
        self.assertEqual(chosen(["growth-devices", "idle"]),
                         ["idle", "growth-devices-1e2", "growth-devices-1e3",
                          "growth-devices-1e4"])  # fmt: skip
        growth = [key for key in chosen(None) if key.startswith("growth-")]
        self.assertEqual(chosen(["growth"]), growth)

    def test_a_quick_run_leaves_out_what_takes_long(self):
        left_out = set(chosen(None)) - set(chosen(None, quick=True))
        self.assertEqual(left_out, {"growth-queue-1e6", "growth-queue-1e7", "growth-directory-1e6"})

    def test_what_takes_long_is_played_in_the_first_round_only(self):
        measurement = by_key()["growth-queue-1e7"]
        rounds = [bench.is_played(measurement, "godwit", number) for number in (1, 2, 3)]
        self.assertEqual(rounds, [True, False, False])
        rounds = [bench.is_played(by_key()["idle"], "godwit", number) for number in (1, 2, 3)]
        self.assertEqual(rounds, [True, True, True])

    def test_how_the_cost_grows_is_measured_of_godwit_alone(self):
        self.assertTrue(bench.is_played(by_key()["growth-devices-1e2"], "godwit", 1))
        self.assertFalse(bench.is_played(by_key()["growth-devices-1e2"], "redis", 1))
        self.assertTrue(bench.is_played(by_key()["offline"], "redis", 1))

    def test_however_many_devices_are_away_the_same_is_queued_and_under_way(self):
        for exponent in (2, 3, 4):
            key = f"growth-devices-1e{exponent}"
            for quick, queued in ((False, 10**6), (True, 10**5)):
                words = bench.load_arguments(by_key()[key], "godwit", quick, None)
                pairs, messages, window = (
                    int(words[words.index(name) + 1])
                    for name in ("--pairs", "--messages", "--window")
                )
                self.assertEqual((pairs, pairs * messages, pairs * window),
                                 (10**exponent, queued, 10_000))  # fmt: skip

    def test_how_many_devices_a_relay_knows_is_not_asked_of_the_load_program(self):
        words = bench.load_arguments(by_key()["growth-directory-1e4"], "godwit", False, None)
        self.assertNotIn("--devices", words)

    def test_every_row_is_of_something_that_is_measured_and_the_other_way_round(self):
        self.assertEqual({row.measurement for row in bench.ROWS}, set(chosen(None)))


if __name__ == "__main__":
    unittest.main()
