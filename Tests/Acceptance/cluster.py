"""Real clusters of the release binary: started, killed and looked at as an operator would, each in a folder of its own."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

from client import Client, ConnectionBroken

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SHOAL_BINARY", REPOSITORY / ".build" / "release" / "shoal"))


def eventually(condition, within, what):
    """Polls `condition` until it returns something true, and returns that; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.02)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(nodes):
    """The first HTTP and the first RPC port of runs, ten apart, that are free; below the ephemeral range."""
    while True:
        base = random.randrange(10_000, 32_000, 100)
        if all(is_free(base + offset + 10 * node) for offset in (3, 5) for node in range(nodes)):
            return base + 3, base + 5


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def shoal(*arguments, timeout=120, **options):
    """Runs the CLI to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **options
    )


class Cluster:
    """The nodes of one `cluster.yaml` in `folder`, under `shoal up`."""

    def __init__(self, folder, nodes=3, replication_factor=2, shards=3, settings=""):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.nodes = nodes
        self.replication_factor = replication_factor
        self.config = self.folder / "cluster.yaml"
        self.data = self.folder / "data"
        self.http_port, self.rpc_port = free_ports(nodes)
        self.config.write_text(
            f"""cluster:
  nodeCount: {nodes}
  replicationFactor: {replication_factor}
  httpPort: {self.http_port}
  rpcPort: {self.rpc_port}
  sharding:
    virtualShards: 128
    physicalShards: {shards}
{settings}"""
        )

    @property
    def places(self):
        return ("--config", self.config, "--data", self.data)

    @property
    def urls(self):
        return [f"http://127.0.0.1:{self.http_port + 10 * number}" for number in range(self.nodes)]

    def client(self, node=1, timeout=60):
        """A connection to the node with this id; 1 is the first."""
        return Client(self.urls[node - 1], timeout)

    def start(self, *options, within=60):
        done = shoal("up", *self.places, "--detach", *options, timeout=within)
        assert done.returncode == 0, f"shoal up failed with {done.returncode}: {done.stdout}{done.stderr}{self.logs()}"
        return done

    def stop(self):
        """Stops what belongs to this cluster, and checks that it is gone."""
        pids = self.pids()
        done = shoal("down", *self.places, timeout=90)
        left = [pid for pid in pids if is_running(pid) and self.owns(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert done.returncode == 0, f"shoal down failed: {done.stdout}{done.stderr}"
        assert not left, f"shoal down left processes {left}: {done.stdout}{done.stderr}{self.logs()}"

    def cli(self, *arguments, timeout=180, check=True):
        """Runs a command on this cluster; its output, or with `check=False` all that came of it."""
        done = shoal(*arguments, *self.places, timeout=timeout)
        if not check:
            return done
        assert done.returncode == 0, f"shoal {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def status(self):
        done = shoal("status", "--json", *self.places)
        assert done.returncode in (0, 3), done.stdout + done.stderr
        return json.loads(done.stdout)

    def pids(self):
        status = self.status()
        found = [node["pid"] for node in status["nodes"]]
        if status["supervisor"]:
            found.append(status["supervisor"]["pid"])
        return [pid for pid in found if pid]

    def pid(self, node):
        return next(entry["pid"] for entry in self.status()["nodes"] if entry["id"] == node)

    def owns(self, pid):
        """Whether the process was started for this cluster's folder; nothing else is ever killed."""
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return str(self.folder) in command

    def kill(self, *nodes):
        """kill -9 of the nodes, as good as at once; returns the time of the last kill."""
        pids = [self.pid(node) for node in nodes]
        assert all(pid and self.owns(pid) for pid in pids), f"{pids}: {self.status()}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return time.monotonic()

    def is_ready(self, node):
        try:
            return self.client(node, timeout=2).get("/readyz").status == 200
        except ConnectionBroken:
            return False

    def wait_until_ready(self, within=60):
        """Waits until each node says that it is ready."""
        eventually(lambda: all(map(self.is_ready, range(1, self.nodes + 1))), within, "all nodes ready")

    def shard_tables(self, node=1, collection=None):
        suffix = f"?collection={collection}" if collection else ""
        return self.client(node).get(f"/shoal/shards{suffix}").expect(200)

    def cluster_status(self, node=1):
        return self.client(node).get("/shoal/cluster").expect(200)

    def wait_until_in_sync(self, within=120):
        """Waits until every replica of every shard is in sync and reachable."""

        def all_in_sync():
            try:
                tables = self.shard_tables()
            except (ConnectionBroken, AssertionError):
                return False
            replicas = [replica for table in tables for shard in table["shards"] for replica in shard["replicas"]]
            return bool(replicas) and all(replica["state"] == "inSync" for replica in replicas)

        eventually(all_in_sync, within, "every replica in sync")

    def wait_until_indexed(self, within=240):
        def all_indexed():
            replicas = [r for table in self.shard_tables() for shard in table["shards"] for r in shard["replicas"]]
            return all(replica.get("unindexedRows") == 0 for replica in replicas)

        eventually(all_indexed, within, "every row in the graphs")

    def logs(self, lines=15):
        """The ends of the nodes' logs, for a failure's message."""
        ends = []
        for path in sorted((self.data / "logs").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            ends.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(["", *ends])
