"""A report page in a real browser: it shows the verdict, and its script ends without an error."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHROMIUM = shutil.which("chromium")
SKIPPED = 77


def text_of(dom):
    """The text of the page without its scripts, as a reader sees it."""
    body = re.sub(r"<(script|style|noscript)\b.*?</\1>", " ", dom, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


class PageTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-", ignore_cleanup_errors=True)
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)

    def open(self, page):
        """Opens a page; returns the document that its script made, and what the console said."""
        file = self.home / "page.html"
        file.write_bytes(page)
        browser = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             f"--user-data-dir={self.home}/profile", "--dump-dom", file.as_uri()],
            capture_output=True, text=True, timeout=50, env={**os.environ, "HOME": str(self.home)},
        )
        self.assertEqual(browser.returncode, 0, browser.stderr)
        return browser.stdout, [line for line in browser.stderr.splitlines() if "CONSOLE" in line]

    def sample(self, kind, samples):
        command = [os.environ["PAGE_SAMPLE"], kind, str(samples)]
        return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout

    def test_a_passed_run_says_so_and_draws_every_chart(self):
        dom, console = self.open(self.sample("pass", 60))
        self.assertEqual(console, [])
        self.assertIn("<title>PASS: online</title>", dom)
        self.assertIn("none was lost, duplicated, reordered or corrupted", text_of(dom))
        self.assertEqual(len(re.findall("<canvas", dom.split("<script")[0])), 7)

    def test_a_failed_run_says_why(self):
        dom, console = self.open(self.sample("fail", 2))
        self.assertEqual(console, [])
        text = text_of(dom)
        self.assertIn("FAIL", text)
        self.assertIn("12 were lost and 3 duplicated", text)
        self.assertIn("12 envelopes were accepted and not delivered.", text)
        self.assertIn("/tmp/relay.log", text)

    def test_an_interrupted_run_says_so_and_no_other(self):
        sentence = "The run was interrupted: what was still under way is not judged."
        dom, console = self.open(self.sample("interrupted", 2))
        self.assertEqual(console, [])
        self.assertIn(sentence, text_of(dom))
        self.assertIn('<p id="interrupted">', dom)
        dom, _ = self.open(self.sample("pass", 2))
        self.assertIn('<p id="interrupted" hidden="">', dom)

    def test_a_report_with_nothing_in_it_is_still_a_page(self):
        dom, console = self.open(self.sample("empty", 0))
        self.assertEqual(console, [])
        self.assertIn("no connection was made", text_of(dom))

    def test_an_error_of_the_script_would_be_seen(self):
        page = self.sample("pass", 2).replace(b"\nhead();\n", b"\nno_such_function();\n")
        self.assertNotEqual(self.open(page)[1], [])


if __name__ == "__main__":
    if CHROMIUM is None:
        print("no chromium here: skipped")
        sys.exit(SKIPPED)
    unittest.main()
