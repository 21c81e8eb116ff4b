"""The brokers that tools/bench measures Godwit beside: how each is started and ended."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import namedtuple
from pathlib import Path

START_LIMIT_S = 20
STOP_LIMIT_S = 20


class Failed(Exception):
    """A run that could not be done or found something wrong."""


def mosquitto_command(port, directory):
    """Without limits that would make it drop, and without Nagle's delays."""
    (directory / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n"
        "sys_interval 0\nlog_type error\n"
        + ("user root\n" if os.geteuid() == 0 else "")
    )
    return ["mosquitto", "-c", str(directory / "mosquitto.conf")]


def nats_command(port, directory):
    return ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(directory)]


def redis_command(port, directory):
    """No snapshots: the append-only file is what makes it durable."""
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory),
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
            "--maxclients", "19900", "--loglevel", "warning"]  # fmt: skip


# program: also the Debian package. about: for the head of the table.
Peer = namedtuple("Peer", "program about command version")
PEERS = {
    "mosquitto": Peer("mosquitto", "in memory", mosquitto_command, ["mosquitto", "-h"]),
    "nats": Peer("nats-server", "acks before fsync", nats_command, ["nats-server", "--version"]),
    "redis": Peer("redis-server", "fsync always", redis_command, ["redis-server", "--version"]),
}


def find_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A peer that runs in a directory of its own; ended, and its directory removed, by __exit__."""

    def __init__(self, peer, scratch):
        self.directory = Path(tempfile.mkdtemp(prefix="broker-", dir=scratch))
        self.port = free_port()
        command = peer.command(self.port, self.directory)
        self.log = self.directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [find_program(command[0]), *command[1:]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
            )  # fmt: skip

    def __enter__(self):
        end = time.monotonic() + START_LIMIT_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        log = self.log.read_text(errors="replace")[-2000:]
        self.__exit__()
        raise Failed(f"it did not start:\n{log}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
