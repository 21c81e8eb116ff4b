"""What `meson install` installs is enough for an app: its examples and the readme's ten lines are
built elsewhere, with pkg-config alone, and chat, or pass."""

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import Person, Relay  # noqa: E402

SOURCE = Path(os.environ["GODWIT_SOURCE"])
SANITIZE = os.environ["GODWIT_SANITIZE"]
STATUSES = ("sent", "delivered", "read")


def programs_of_the_readme():
    """The ten lines, and the test of an app."""
    return re.findall(r"```cpp\n(.*?)```", (SOURCE / "client-sdk/README.md").read_text(), re.S)


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        cls.addClassCleanup(directory.cleanup)
        cls.place = Path(directory.name)
        root = cls.place / "root"
        subprocess.run(
            ["meson", "install", "-C", os.environ["GODWIT_BUILD"], "--no-rebuild", "--quiet"]
            + ["--tags", "devel", "--destdir", root],
            check=True,
        )
        (package,) = root.rglob("godwit.pc")
        cls.installed = sorted(one.name for one in root.rglob("*") if one.is_file())
        cls.pkg_config = {"PKG_CONFIG_PATH": package.parent, "PKG_CONFIG_SYSROOT_DIR": root}
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.close)
        cls.bob = Person(cls.place / "bob")
        cls.bob.json("init", "--relay", cls.relay.address, "--name", "bob")

    def compile(self, name, source, package="godwit"):
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", package],
            env=os.environ | self.pkg_config,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        sanitize = [] if SANITIZE == "none" else ["-fsanitize=" + SANITIZE]
        (self.place / f"{name}.cpp").write_text(source)
        subprocess.run(
            [os.environ["CXX_COMMAND"], "-std=c++20", f"{name}.cpp", *shlex.split(flags), *sanitize,
             "-o", name],
            cwd=self.place,
            check=True,
        )
        return self.place / name

    def start(self, program, name, text):
        """The process, and its output, line by line, as on a terminal."""
        try:
            master, slave = pty.openpty()
        except OSError:  # the programs would keep their lines for themselves in a pipe
            self.skipTest("this system has no pseudo terminals (/dev/pts is not mounted)")
        running = subprocess.Popen(
            [program, self.place / f"home-{name}", self.relay.address, name, "bob", text],
            stdout=slave,
        )
        os.close(slave)
        output = os.fdopen(master)

        def end():
            running.kill()
            running.wait()
            output.close()

        self.addCleanup(end)
        return running, iter(output.readline, "")

    def chat(self, program, name, text="hello", answer="an answer"):
        """Sends a text, has it answered, and returns the lines up to the answer."""
        running, output = self.start(program, name, text)
        received = []
        while not received:
            self.assertIsNone(running.poll(), "it ended before its text was with the other")
            received = self.bob.json("sync", "--for", "0.2")[:-1]
        self.assertEqual([one["text"] for one in received], [text])
        self.bob.json("send", name, answer)
        lines = []
        for line in output:
            lines.append(line.strip())
            if answer in line:
                running.kill()
                running.wait()
                return lines
        self.fail(f"it ended before the answer came: {lines}")

    def test_only_the_libraries_the_public_headers_and_the_packages_are_installed(self):
        headers = [one.name for one in (SOURCE / "client-sdk/include/godwit").iterdir()]
        packages = ["godwit.pc", "godwit-testing.pc", "libgodwit.a", "libgodwit-testing.a"]
        self.assertEqual(self.installed, sorted([*headers, *packages]))

    def test_the_example_sends_and_receives(self):
        source = (SOURCE / "client-sdk/examples/send_receive.cpp").read_text()
        self.assertLessEqual(len(source.splitlines()), 40)
        lines = self.chat(self.compile("send_receive", source), "example")
        self.assertIn("delivered", lines)
        self.assertEqual(lines[-1], "bob: an answer")

    def test_the_ten_lines_of_the_readme_chat_and_go_on_in_a_second_run(self):
        program = self.compile("ten", programs_of_the_readme()[0])
        lines = self.chat(program, "ten")
        self.assertEqual([line for line in lines if line not in STATUSES], ["an answer"])
        lines = self.chat(program, "ten", "hello again", "another answer")
        self.assertEqual([line for line in lines if line not in STATUSES], ["another answer"])

    def test_the_ten_lines_say_why_they_end(self):
        program = self.compile("ten-fails", programs_of_the_readme()[0])
        done = subprocess.run(
            [program, self.place / "home-of-nobody", "nowhere", "ten", "bob", "hello"],
            capture_output=True,
            check=False,
        )
        self.assertEqual(done.returncode, 1)
        self.assertNotEqual(done.stderr, b"")

    def test_the_test_of_the_readme_is_the_example_and_passes(self):
        source = (SOURCE / "client-sdk/examples/offline_week_test.cpp").read_text()
        self.assertLess(len(source.splitlines()), 30)
        self.assertEqual(programs_of_the_readme()[1:], [source])
        program = self.compile("offline_week", source, "godwit-testing")
        subprocess.run([program], cwd=self.place, check=True)


if __name__ == "__main__":
    unittest.main()
