"""The other peer of compare.py: hnswlib, with the commands of index-benchmark. One thread."""

import json
import sys
import time

import hnswlib
import numpy as np

K = 10


def unit(path):
    rows = np.load(path).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main(folder):
    base, queries = unit(f"{folder}/wordnet.base.f16.npy"), unit(f"{folder}/wordnet.queries.f16.npy")
    truth = np.load(f"{folder}/wordnet.gt100.u32.npy")[:, :K]
    index = None
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "build":
            m, ef_construct = map(int, numbers)
            index = hnswlib.Index(space="ip", dim=base.shape[1])
            index.init_index(max_elements=len(base), M=m, ef_construction=ef_construct, random_seed=1)
            start = time.process_time()
            index.add_items(base, num_threads=1)
            answer = {"inserts_per_second": len(base) / (time.process_time() - start)}
        elif command == "search":
            index.set_ef(int(numbers[0]))
            start = time.process_time()
            found, _ = index.knn_query(queries, k=K, num_threads=1)
            seconds = time.process_time() - start
            hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth))
            answer = {"queries_per_second": len(queries) / seconds, "recall": hits / truth.size}
        else:
            answer = {"error": "unknown command"}
        print(json.dumps(answer), flush=True)


main(sys.argv[1])
