"""The nodes of a cluster without a supervisor: a test decides when each runs, on which folder."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

from cluster import BINARY, Cluster, eventually


class Nodes(Cluster):
    """Nodes are stopped and started one by one; `stop` ends all, and nothing is left."""

    def __init__(self, folder, **options):
        super().__init__(folder, **options)
        self.processes = {}
        # By node, what is put before its command: what runs it elsewhere, such as in another mount namespace.
        self.prefixes = {}

    def start(self, *nodes, within=60):
        """Starts these, or all, and waits until they are ready."""
        nodes = nodes or range(1, self.nodes + 1)
        for node in nodes:
            self.launch(node)
        eventually(lambda: all(map(self.is_ready, nodes)), within, f"nodes {list(nodes)} are ready{self.logs()}")

    def launch(self, node):
        """Starts one, and waits for nothing."""
        assert node not in self.processes
        logs = self.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with open(logs / f"node-{node}.log", "ab") as log:
            self.processes[node] = subprocess.Popen(
                [
                    *self.prefixes.get(node, ()), BINARY, "serve", "--config", self.config, "--node", str(node),
                    "--data", self.data,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def folder_of(self, node):
        return self.data / f"node-{node}"

    def log_of(self, node):
        return (self.data / "logs" / f"node-{node}.log").read_text(errors="replace")

    def pid(self, node):
        return self.processes[node].pid if node in self.processes else None

    def kill(self, *nodes):
        for node in nodes:
            self.processes[node].kill()
        for node in nodes:
            self.processes.pop(node).wait()
        return time.monotonic()

    @contextmanager
    def stopped(self, node):
        """Stops its process for as long as the block takes; it keeps its lease until that ends."""
        os.kill(self.pid(node), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(node), signal.SIGCONT)

    def end(self, *nodes):
        """In good order."""
        for node in nodes:
            self.processes[node].terminate()
        for node in nodes:
            assert self.processes.pop(node).wait(60) == 0, self.logs()

    def ended(self, node, within=30):
        """Waits until a node that refuses to run has ended; its exit code."""
        return self.processes.pop(node).wait(within)

    def stop(self):
        for process in self.processes.values():
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()
        self.processes.clear()

    def copy_folder(self, node, to):
        """A node's folder as it is now, holes and all; the node must not run."""
        shutil.rmtree(to, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", self.folder_of(node), to], check=True)

    def replace_folder(self, node, by):
        """Puts another folder in the place of a node's own."""
        shutil.rmtree(self.folder_of(node))
        subprocess.run(["cp", "-a", "--sparse=always", by, self.folder_of(node)], check=True)
