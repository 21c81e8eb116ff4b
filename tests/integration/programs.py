"""The relay and the chat client as programs, for tests that see them from outside."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

GODWIT = os.environ["GODWIT"]
GODWIT_RELAY = os.environ["GODWIT_RELAY"]
PATIENCE = 60  # seconds that one command may take on a busy machine


def children_of(run, name):
    """The processes of this name that it has started: those that play for it, or its relay."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    return [int(pid) for pid in children
            if Path(f"/proc/{pid}/comm").read_text().strip() == name]


def keep_what_is_left_behind():
    """Of a module: what its programs leave in the temporary directory, such as the log of a relay
    that failed, goes with it."""
    directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
    unittest.addModuleCleanup(directory.cleanup)
    os.environ["TMPDIR"] = directory.name


class Relay:
    """A relay in a directory of its own; keeps its address over restarts."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self._path = Path(self._directory.name) / "relay"
        self._program = None
        subprocess.run(
            [GODWIT_RELAY, "init", self._path, "--listen", "127.0.0.1:0"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.address = ""
        self.start()
        config = self._path / "relay.toml"
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{self.port}"))

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    @property
    def path(self):
        return self._path

    @property
    def pid(self):
        return self._program.pid

    def start(self):
        self._program = subprocess.Popen(
            [GODWIT_RELAY, "run", self._path],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        ready = self._program.stdout.readline()
        if not ready.startswith("ready "):
            raise RuntimeError("the relay did not start")
        self.address = ready.removeprefix("ready ").strip()

    def stop(self):
        if self._program:
            self._program.kill()
            self._program.communicate()
            self._program = None

    def close(self):
        self.stop()
        self._directory.cleanup()


class Person:
    """One who uses the chat client."""

    def __init__(self, home):
        self.home = Path(home)

    def words(self, *arguments):
        return [GODWIT, "--home", str(self.home), *map(str, arguments)]

    def run(self, *arguments, stdin=""):
        return subprocess.run(
            self.words(*arguments),
            input=stdin.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *arguments):
        return subprocess.Popen(
            self.words(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def text(self, *arguments, stdin="", status=0):
        """What a person sees on stdout."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode != status:
            raise AssertionError(f"{arguments}: exit status {done.returncode}: {done.stderr}")
        return done.stdout.decode()

    def json(self, *arguments, stdin="", status=0):
        """The objects of stdout; each line has to be one."""
        command, *rest = arguments
        lines = self.text(command, "--json", *rest, stdin=stdin, status=status).splitlines()
        objects = [json.loads(line) for line in lines]
        if not all(isinstance(one, dict) for one in objects):
            raise AssertionError(f"{arguments}: not every line is an object: {lines}")
        return objects

    def error(self, *arguments, stdin="", status=1):
        """The one error of a command that fails."""
        done = self.run(*arguments[:1], "--json", *arguments[1:], stdin=stdin)
        lines = done.stdout.decode().splitlines()
        if done.returncode != status or len(done.stderr.splitlines()) == 0:
            raise AssertionError(f"{arguments}: {done}")
        last = json.loads(lines[-1])
        if list(last) != ["error"] or list(last["error"]) != ["code", "message"]:
            raise AssertionError(f"{arguments}: {last}")
        return last["error"]

