"""Clusters that nodes join and leave."""

from client import Client
from unsupervised import Nodes


class Growing(Nodes):
    """Three nodes as the configuration says, and up to two more that join; the workload's clients speak to the three."""

    def __init__(self, folder, **options):
        super().__init__(folder, nodes=5, **options)
        self.config.write_text(self.config.read_text().replace("nodeCount: 5", "nodeCount: 3"))
        self.nodes = 3

    def client(self, node=1, timeout=60):
        return Client(f"http://127.0.0.1:{self.http_port + 10 * (node - 1)}", timeout)
