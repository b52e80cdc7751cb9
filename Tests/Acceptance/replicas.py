"""Reads every replica on its own and compares them point by point."""

import hashlib
import json
import re

from cluster import Cluster

RECORD = re.compile(rb'\{"id":("[^"]*"|\d+),')
PAGE = 1_000


def read_node(cluster: Cluster, node, collection, start=None):
    """id -> digest of version, payload and vectors, of every point that the node has a replica of."""
    client, found = cluster.client(node), {}
    while True:
        body = {"limit": PAGE, "offset": start, "with_payload": True, "with_vector": True, "with_version": True}
        answer = client.post(f"/collections/{collection}/points/scroll?replica={node}", body)
        assert answer.status == 200, f"node {node}: {answer.status} {answer.text[:500]}"
        points, separator, rest = answer.text.rpartition(b'"next_page_offset":')
        starts = [match.start() for match in RECORD.finditer(points)]
        # Pages are compared as text, as the server wrote it: to parse 90 million floats would take minutes. The text
        # of a point's payload cannot look like the start of a record, because quotes in it are escaped - unless a
        # payload holds an object with an `id`; these do not.
        ends = starts[1:] + [points.rindex(b"]")]
        for first, last in zip(starts, ends):
            id = json.loads(RECORD.match(points, first)[1])
            assert id not in found, f"node {node} returned {id} twice"
            found[id] = hashlib.blake2b(points[first:last].rstrip(b", \n"), digest_size=16).digest()
        start = json.JSONDecoder().raw_decode(rest.decode("utf-8", "replace").lstrip())[0] if separator else None
        if start is None:
            return found


def assert_replicas_are_equal(cluster, collection, start=None):
    """Every point from the id `start` on is on exactly `replication_factor` nodes, and the same on each; the count."""
    copies = [read_node(cluster, node, collection, start) for node in range(1, cluster.nodes + 1)]
    everywhere = set().union(*copies)
    differing = []
    for id in everywhere:
        digests = [copy[id] for copy in copies if id in copy]
        if len(digests) != cluster.replication_factor or len(set(digests)) != 1:
            differing.append((id, [number for number, copy in enumerate(copies, 1) if id in copy]))
    assert not differing, f"{len(differing)} of {len(everywhere)} points differ between replicas, such as {differing[:5]}"
    return len(everywhere)
