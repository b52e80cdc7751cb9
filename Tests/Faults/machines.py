"""Nodes of the real binary, and members of etcd, each on a machine of the test's network."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from client import Client, ConnectionBroken
from cluster import BINARY, eventually
from etcd import ETCD
from network import command

HTTP_PORT, RPC_PORT, ETCD_PORT, ETCD_PEER_PORT = 7001, 7003, 7005, 7006
DISK_BYTES = 1 << 30
# No client has points from here on.
NO_ID = 1 << 50
CLOCK_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

# The log that is kept is as short as it may be, so that long absences are made good by snapshots.
SETTINGS = """
storage:
  pointsMapSize: 2GiB
  indexMapSize: 1GiB
  retainedLog: 1MiB
  maxPinnedLog: 1MiB
"""


class Machine:
    """A process on a machine of the network that is killed, stopped and started again."""

    def __init__(self, network, name, number, folder):
        self.network, self.name, self.folder = network, name, folder
        self.address = network.add(name, number)
        self.process, self.is_stopped, self.ended = None, False, []
        self.log = folder.parent / "logs" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def launch(self, arguments, environment=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.network.inside(self.name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        self.is_stopped = False

    def kill(self):
        if self.is_running:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def hang(self):
        if self.is_running:
            self.process.send_signal(signal.SIGSTOP)
            self.is_stopped = True

    def wake(self):
        if self.is_stopped and self.is_running:
            self.process.send_signal(signal.SIGCONT)
        self.is_stopped = False

    def check(self):
        """A process that nobody killed runs."""
        if self.process is not None and self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-15:]
            raise AssertionError("\n".join([f"{self.name} ended with {self.process.returncode}", *lines]))


class EtcdMember(Machine):
    def __init__(self, network, number, folder):
        super().__init__(network, f"etcd{number}", 100 + number, folder / f"etcd{number}")
        assert ETCD, "there is no etcd on this machine: Scripts/install-dependencies --tests installs it"

    @property
    def url(self):
        return f"http://{self.address}:{ETCD_PORT}"

    def start(self, members):
        peers = {member.name: f"http://{member.address}:{ETCD_PEER_PORT}" for member in members}
        self.launch([
            ETCD, "--name", self.name, "--data-dir", self.folder, "--log-level", "error",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peers[self.name], "--initial-advertise-peer-urls", peers[self.name],
            "--initial-cluster", ",".join(f"{name}={url}" for name, url in peers.items()),
        ])  # fmt: skip

    def leads(self):
        try:
            status = Client(self.url, timeout=2).post("/v3/maintenance/status", {}).json
        except ConnectionBroken:
            return False
        return status.get("leader") == status["header"]["member_id"]


class Node(Machine):
    def __init__(self, network, number, folder, settings, control, data):
        super().__init__(network, f"node{number}", 10 + number, folder / f"node{number}")
        self.number, self.control = number, control
        # The nodes of the LMDB control store share a folder; each node's own part is a disk of its own.
        self.data = data
        self.disk = data / f"node-{number}"
        self.disk.mkdir(parents=True)
        command("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk)
        self.config = folder / f"node{number}.yaml"
        self.config.write_text(
            settings + f"http:\n  host: {self.address}\nrpc:\n  host: {self.address}\n" + SETTINGS
        )
        self.clock = folder / f"node{number}.clock"
        self.set_clock(0)
        # The copy of an earlier state of its disk.
        self.copy = folder / f"node{number}.copy"

    @property
    def url(self):
        # Ports count up as on one machine.
        return f"http://{self.address}:{HTTP_PORT + 10 * (self.number - 1)}"

    def client(self, timeout=10):
        return Client(self.url, timeout)

    def set_clock(self, seconds):
        """Makes the time of day jump to so many seconds from the true one. Monotonic clocks go on."""
        temporary = self.clock.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n")
        temporary.rename(self.clock)

    def start(self):
        environment = None
        if CLOCK_LIBRARY:
            environment = {
                "LD_PRELOAD": str(CLOCK_LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
                "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            }  # fmt: skip
        self.launch(
            [BINARY, "serve", "--config", self.config, "--node", self.number, "--data", self.data], environment
        )

    def is_ready(self):
        try:
            return self.client(timeout=2).get("/readyz").status == 200
        except ConnectionBroken:
            return False

    def fill_disk(self):
        """Leaves not one byte."""
        with open(self.disk / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 20))
            except OSError:
                pass

    def empty_disk(self):
        (self.disk / "ballast").unlink(missing_ok=True)

    def wipe(self):
        """As a new disk would be."""
        for entry in self.disk.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def save_copy(self):
        shutil.rmtree(self.copy, ignore_errors=True)
        command("cp", "-a", "--sparse=always", self.disk, self.copy)

    def restore_copy(self):
        self.wipe()
        command("cp", "-a", "--sparse=always", f"{self.copy}/.", self.disk)


class Machines:
    """All of one cluster."""

    def __init__(self, network, folder, nodes, replication_factor, control):
        self.network, self.folder, self.control = network, Path(folder), control
        self.replication_factor = replication_factor
        self.etcd = [EtcdMember(network, n, self.folder) for n in (1, 2, 3)] if control == "etcd" else []
        settings = (
            f"cluster:\n  nodeCount: {nodes}\n  replicationFactor: {replication_factor}\n"
            f"  httpPort: {HTTP_PORT}\n  rpcPort: {RPC_PORT}\n"
        )
        if self.etcd:
            settings += f"control:\n  etcd:\n    endpoints: [{', '.join(member.url for member in self.etcd)}]\n"
        self.nodes = []
        for number in range(1, nodes + 1):
            # On etcd nodes have nothing in common.
            data = self.folder / ("data" if control == "lmdb" else f"data{number}")
            self.nodes.append(Node(network, number, self.folder, settings, control, data))

    def start(self):
        for member in self.etcd:
            member.start(self.etcd)
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            eventually(node.is_ready, 60, f"{node.name} is ready: see {node.log}")

    def stop(self):
        for machine in self.nodes + self.etcd:
            machine.wake()
            machine.kill()

    def heal(self):
        """Undoes all faults: everything runs, on disks with room, and reaches everything."""
        self.network.heal()
        for machine in self.etcd + self.nodes:
            machine.wake()
        for member in self.etcd:
            if not member.is_running:
                member.start(self.etcd)
        for node in self.nodes:
            node.empty_disk()
            if not node.is_running:
                node.start()

    def unsound(self, collection):
        """What keeps the cluster from being whole, in words; empty when every replica is in sync."""
        for node in self.nodes:
            node.check()
        unready = [node for node in self.nodes if not node.is_ready()]
        asked = next((node for node in self.nodes if node not in unready), None)
        found = [f"{node.name} is not ready" for node in unready]
        if asked is None:
            return "; ".join(found)
        try:
            tables = asked.client().get(f"/shoal/shards?collection={collection}").expect(200)
        except (ConnectionBroken, AssertionError) as error:
            return "; ".join([*found, str(error)])
        for shard in (shard for table in tables for shard in table["shards"]):
            for replica in shard["replicas"]:
                if replica["state"] != "inSync":
                    found.append(f"shard {shard['number']} on node {replica['node']} is {replica['state']}")
        return "; ".join(found if tables else ["no shards"])

    def wait_until_linked(self, collection, within):
        """Whole, and no primary is about to think otherwise: what it had sent before the end of a fault has arrived, or it
        would have held up a write that came later."""
        nothing = json.dumps({"points": [NO_ID + number for number in range(512)]}).encode()

        def linked():
            if self.unsound(collection):
                return False
            before = self.epochs(collection)
            answer = self.nodes[0].client(timeout=30).request(
                "POST", f"/collections/{collection}/points/delete?wait=true", nothing)  # fmt: skip
            return answer.status == 200 and not self.unsound(collection) and self.epochs(collection) == before

        eventually(linked, within, "a write through all replicas, of which none left the in-sync set")

    def epochs(self, collection):
        tables = self.nodes[0].client().get(f"/shoal/shards?collection={collection}").expect(200)
        return {shard["number"]: shard["epoch"] for table in tables for shard in table["shards"]}

    def wait_until_whole(self, collection, within):
        """How long it took."""
        start = time.monotonic()
        deadline = start + within
        while reason := self.unsound(collection):
            assert time.monotonic() < deadline, f"not whole within {within} s of the end of a fault: {reason}"
            time.sleep(0.1)
        return time.monotonic() - start
