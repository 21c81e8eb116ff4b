"""The scripts of tools/ where something comes in between: no right to install, Ctrl-C, a test
that says nothing. They run on a copy of tools/ with stubs of what they call: nothing is built."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

TOOLS = Path(__file__).parents[3] / "tools"
SECONDS = 60  # that a script may take on a busy machine

# Of meson: a build directory that knows of no test; everything else succeeds.
MESON = """#!/bin/sh
[ "$1" = setup ] || exit 0
for directory in "$@"; do case $directory in */build) break ;; esac; done
mkdir -p "$directory/meson-info"
echo '[]' | tee "$directory/meson-info/intro-targets.json" \\
  >"$directory/meson-info/intro-tests.json"
"""
# Builds the program of a mutation.
NINJA = """#!/bin/sh
while [ "$1" != -C ]; do shift; done
mkdir -p "$2/tools"
cp "$(dirname "$0")/program" "$2/tools/godwit-load"
"""
# It passes on the tree as it is.
PROGRAM = "#!/bin/sh\ngrep -q right ../tree/promise || exit {}\n"
# It can be interrupted, and says that it was there.
SLEEPER = "#!/bin/sh\necho $$ >{}\nexec sleep 600\n"
# A load generator takes Ctrl-C as the end of its run, and is content.
CONTENT = """#!/usr/bin/env python3
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
with open("{}", "w") as file:
    print(os.getpid(), file=file)
time.sleep(600)
"""
PATCH = """Breaks: the promise
Caught-by: tools/godwit-load

diff --git a/promise b/promise
--- a/promise
+++ b/promise
@@ -1 +1 @@
-right
+wrong
"""


def is_there(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class ScriptsTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.root.chmod(0o755)
        shutil.copytree(
            TOOLS, self.root / "tools", ignore=shutil.ignore_patterns("__pycache__", "*.cpp")
        )
        self.stubs = self.root / "stubs"
        self.put("stubs/meson", MESON)
        self.put("stubs/ninja", NINJA)
        self.environment = os.environ | {
            "PATH": f"{self.stubs}:{os.environ['PATH']}",
            "GODWIT_PACKAGES": "ready",
        }

    def put(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        (self.root / path).chmod(0o755)

    def start(self, *words, **how):
        script, *arguments = words
        running = subprocess.Popen(
            [self.root / "tools" / script, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **({"env": self.environment} | how),
        )
        self.addCleanup(running.communicate)
        self.addCleanup(running.kill)
        return running

    def run_tool(self, *words, **how):
        """The exit status, and what it said."""
        running = self.start(*words, **how)
        said, _ = running.communicate(timeout=SECONDS)
        return running.returncode, said

    # ---- Installing ----

    def test_who_may_not_install_is_told_what_to_do(self):
        release = Path("/etc/os-release").read_text()
        if "\nID=debian\n" not in release or 'VERSION_ID="12"' not in release:
            self.skipTest("packages are installed on Debian 12 alone")
        bare = self.root / "bare"  # of a system without sudo
        bare.mkdir()
        for program in ("bash", "basename", "cat", "dirname", "env", "mktemp", "rm"):
            (bare / program).symlink_to(shutil.which(program))
        but_meson = "#!/bin/bash\ncase $* in *meson) ;; *) echo installed ;; esac\n"
        self.put("bare/dpkg-query", but_meson)
        nobody = {"user": 65534} if os.getuid() == 0 else {}
        how = {"env": {"PATH": str(bare)}} | nobody
        status, said = self.run_tool("test", "--fast", **how)
        self.assertEqual(status, 1)
        self.assertEqual(
            said.splitlines()[-1],
            "test: installing packages needs root or sudo; as root: apt-get install meson",
        )

    # ---- Ctrl-C ----

    def check_ctrl_c(self, *words):
        """As a terminal does it: the signal goes to the group."""
        pid_file = self.root / "pid"
        running = self.start(
            *words,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        end = time.monotonic() + SECONDS
        while not pid_file.exists() or not pid_file.read_text().strip():
            self.assertLess(time.monotonic(), end, "the program was not started")
            time.sleep(0.02)
        program = int(pid_file.read_text())
        self.addCleanup(lambda: is_there(program) and os.kill(program, signal.SIGKILL))
        os.killpg(running.pid, signal.SIGINT)
        said, _ = running.communicate(timeout=10)
        self.assertEqual(running.returncode, 130, said)
        end = time.monotonic() + 10  # a shell that was not waiting yet ends before its program
        while is_there(program):
            self.assertLess(time.monotonic(), end, "the program was left behind")
            time.sleep(0.02)
        self.assertEqual(pid_file.read_text(), f"{program}\n", "another one was started")

    def test_ctrl_c_ends_an_acceptance_run(self):
        self.put("build/build.ninja", "")  # else it is made anew, without the programs
        for program in ("integration/hostile_test", "integration/kill_test"):
            self.put(f"build/tests/{program}", SLEEPER.format(self.root / "pid"))
        self.check_ctrl_c("test", "--full", "hostile_test", "kill_test")

    def test_ctrl_c_ends_the_mutants_whatever_the_program_makes_of_it(self):
        for program in (SLEEPER, CONTENT):
            with self.subTest(program=program):
                (self.root / "pid").unlink(missing_ok=True)
                self.make_mutation(program.format(self.root / "pid"))
                self.check_ctrl_c("mutants")

    # ---- What catches a mutant ----

    def make_mutation(self, program):
        self.put("stubs/program", program)
        self.put("promise", "right\n")
        self.put("tests/mutations/01-wrong.patch", PATCH)
        subprocess.run(["git", "init", "-q", self.root], check=True)

    def test_a_program_that_fails_on_a_mutant_has_caught_it(self):
        self.make_mutation(PROGRAM.format(1))
        status, said = self.run_tool("mutants")
        self.assertEqual(status, 0, said)
        self.assertIn("caught by tools/godwit-load in ", said)

    def test_one_that_passes_or_says_nothing_has_not(self):
        for ended, told in (
            (0, "SURVIVED tools/godwit-load"),
            (2, "SAYS NOTHING (exit status 2) tools/godwit-load"),
            (3, "SAYS NOTHING (exit status 3) tools/godwit-load"),
            (125, "CANNOT RUN tools/godwit-load"),
            (137, "CANNOT RUN tools/godwit-load"),
        ):
            with self.subTest(ended=ended):
                self.make_mutation(PROGRAM.format(ended))
                status, said = self.run_tool("mutants")
                self.assertEqual(status, 1, said)
                self.assertIn(told, said)
                self.assertIn("1 mutants, 1 failures", said)


if __name__ == "__main__":
    unittest.main()
