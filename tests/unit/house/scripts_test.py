"""The scripts of tools/ where something comes in between. They run on a copy of
tools/ with stubs of what they call, so that nothing is built."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).parents[3] / "tools"
SECONDS = 60  # that a script may take on a busy machine


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


if __name__ == "__main__":
    unittest.main()
