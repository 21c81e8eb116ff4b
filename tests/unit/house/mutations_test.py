"""The mutations fit this tree: each applies, and the tests that it names are there. tools/mutants
runs them, which takes hours; what has moved away under one of them is to be seen before that."""

import fnmatch
import os
import re
import shlex
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[3]
MUTATIONS = ROOT / "tests" / "mutations"
PATCHES = sorted(MUTATIONS.glob("*.patch"))


def commands_of(patch):
    return re.findall(r"^Caught-by: (.*)$", patch.read_text(), re.MULTILINE)


def programs_of_this_tree():
    built = "".join(one.read_text() for one in ROOT.glob("t*/**/meson.build"))
    names = re.findall(r"executable\('([\w-]+)'|^  '(\w+)': \[", built, re.MULTILINE)
    return {one for pair in names for one in pair if one}


def names_of_this_tree(macro):
    """What stands behind TEST_CASE( or TEST_SUITE(; a name may be cut into several literals."""
    literal = r'"((?:[^"\\]|\\.)*)"'
    names = set()
    for source in (ROOT / "tests").rglob("*.cpp"):
        for parts in re.findall(rf"{macro}\(((?:\s*{literal})+)", source.read_text()):
            names.add("".join(re.findall(literal, parts[0])))
    return names


class MutationsTest(unittest.TestCase):
    def check_each(self, check):
        self.assertGreater(len(PATCHES), 100)
        for patch in PATCHES:
            with self.subTest(patch=patch.name):
                check(patch)

    def test_each_says_what_it_breaks_and_applies(self):
        environment = dict(os.environ, GIT_CEILING_DIRECTORIES=str(ROOT.parent))

        def check(patch):
            self.assertTrue(patch.read_text().startswith("Breaks: "))
            done = subprocess.run(["git", "apply", "--check", "-p1", str(patch)], cwd=ROOT,
                                  env=environment, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

        self.check_each(check)

    def test_the_table_has_each_once_in_order(self):
        rows = re.findall(r"^\| (\d+-[a-z0-9-]+) \|", (MUTATIONS / "README.md").read_text(),
                          re.MULTILINE)
        self.assertEqual(rows, sorted(rows, key=lambda row: int(row.split("-")[0])))
        self.assertEqual(sorted(rows), sorted(patch.stem for patch in PATCHES))

    def test_what_catches_it_is_there(self):
        programs = programs_of_this_tree()
        known = {"-tc=": names_of_this_tree("TEST_CASE"), "-ts=": names_of_this_tree("TEST_SUITE")}

        def check(patch):
            self.assertNotEqual(commands_of(patch), [])
            for command in commands_of(patch):
                words = [word for word in shlex.split(command) if not re.match(r"^\w+=", word)]
                self.assertTrue((ROOT / words[0]).parent.is_dir(), command)
                self.assertIn(Path(words[0]).name.removeprefix("fuzz_"), programs, command)
                for word in words[1:]:
                    if word[:4] in known:
                        self.assertNotEqual(fnmatch.filter(known[word[:4]], word[4:]), [], command)
                    elif "/" in word:  # it runs beside the copy of the tree
                        self.assertTrue(word.startswith("../tree/"), command)
                        self.assertTrue((ROOT / word.removeprefix("../tree/")).exists(), command)

        self.check_each(check)


if __name__ == "__main__":
    unittest.main()
