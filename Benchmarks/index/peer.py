"""The other libraries of compare.py, with the commands of index-benchmark.

    peer.py hnswlib | usearch-f32 | usearch-bf16 | usearch-i8 | faiss-flat | faiss-sq8   <data folder> <threads>

Vectors are of unit length and compared by inner product or cosine, as each library does it best. Queries go in as one
batch: no library pays Python's price for each of them.
"""

import json
import pathlib
import sys
import time

import numpy as np

K = 10


def unit(path):
    rows = np.load(path).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Hnswlib:
    def __init__(self, base, m, ef_construct, threads):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=base.shape[1])
        self.index.init_index(max_elements=len(base), M=m, ef_construction=ef_construct, random_seed=1)
        self.base, self.threads = base, threads

    def insert(self):
        self.index.add_items(self.base, num_threads=self.threads)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=K, num_threads=1)[0]


class Usearch:
    def __init__(self, base, m, ef_construct, threads, dtype):
        from usearch.index import Index

        self.index = Index(
            ndim=base.shape[1], metric="cos", dtype=dtype, connectivity=m, expansion_add=ef_construct, expansion_search=64
        )
        self.base, self.threads = base, threads

    def insert(self):
        self.index.add(np.arange(len(self.base), dtype=np.uint64), self.base, threads=self.threads)

    def search(self, queries, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, K, threads=1).keys


class Faiss:
    """HNSW over float32 or over 8-bit codes; with `refine` the best of the codes' candidates are compared again."""

    def __init__(self, base, m, ef_construct, threads, coded):
        import faiss

        self.faiss, self.base, self.threads, self.coded = faiss, base, threads, coded
        dimension, metric = base.shape[1], faiss.METRIC_INNER_PRODUCT
        if coded:
            self.graph = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, m, metric)
        else:
            self.graph = faiss.IndexHNSWFlat(dimension, m, metric)
        self.graph.hnsw.efConstruction = ef_construct
        self.index = self.graph

    def insert(self):
        self.faiss.omp_set_num_threads(self.threads)
        if self.coded:
            self.graph.train(self.base)
        self.graph.add(self.base)
        if self.coded:
            # Over vectors that are there anyway: not part of what the build costs.
            self.refined = self.faiss.IndexRefineFlat(self.graph, self.faiss.swig_ptr(self.base))

    def search(self, queries, ef):
        self.faiss.omp_set_num_threads(1)
        return self.graph.search(queries, K, params=self.faiss.SearchParametersHNSW(efSearch=ef))[1]

    def refine(self, queries, ef):
        self.faiss.omp_set_num_threads(1)
        inner = self.faiss.SearchParametersHNSW(efSearch=ef)
        params = self.faiss.IndexRefineSearchParameters(k_factor=1.5, base_index_params=inner)
        return self.refined.search(queries, K, params=params)[1]


PEERS = {
    "hnswlib": Hnswlib,
    "usearch-f32": lambda *a: Usearch(*a, dtype="f32"),
    "usearch-bf16": lambda *a: Usearch(*a, dtype="bf16"),
    "usearch-i8": lambda *a: Usearch(*a, dtype="i8"),
    "faiss-flat": lambda *a: Faiss(*a, coded=False),
    "faiss-sq8": lambda *a: Faiss(*a, coded=True),
}


def main(kind, folder, threads):
    prefix = str(next(pathlib.Path(folder).glob("*.base.f16.npy"))).removesuffix(".base.f16.npy")
    base, queries = unit(f"{prefix}.base.f16.npy"), unit(f"{prefix}.queries.f16.npy")
    truth = np.load(f"{prefix}.gt100.u32.npy")[:, :K]
    peer = None
    print(json.dumps({"ready": 1}), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        numbers = list(map(int, numbers))
        if command == "build":
            peer = None
            peer = PEERS[kind](base, *numbers, threads)
            processor, wall = time.process_time(), time.perf_counter()
            peer.insert()
            answer = {
                "inserts_per_second": len(base) / (time.process_time() - processor),
                "inserts_per_wall_second": len(base) / (time.perf_counter() - wall),
            }
        elif command in ("search", "refine") and hasattr(peer, command):
            processor, wall = time.process_time(), time.perf_counter()
            found = getattr(peer, command)(queries, *numbers)
            processor, wall = time.process_time() - processor, time.perf_counter() - wall
            hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth))
            answer = {
                "recall": hits / truth.size,
                "queries_per_second": len(queries) / processor,
                "queries_per_wall_second": len(queries) / wall,
            }
        else:
            answer = {"error": "unknown command"}
        print(json.dumps(answer), flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
