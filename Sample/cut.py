#!/usr/bin/env python3
"""Cuts the sample in this folder from the full WordNet set (see README.md for the formats).

    python3 Sample/cut.py [--data ../shared/data] [--out Sample]

Deterministic: the same input gives the same bytes. Needs numpy.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

POINTS = 5_000
QUERIES = 100
# So many exact neighbours of each query are in the sample, so that its answers make sense to a reader.
NEIGHBOURS_KEPT = 20
GROUND_TRUTH = 100
SEED = 20_240_501
REPOSITORY = Path(__file__).resolve().parent.parent


def unit(rows):
    """float32 rows of length one."""
    wide = rows.astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def chosen_points(total, truth):
    """Row numbers of the points to keep, ascending."""
    kept = np.unique(truth[:, :NEIGHBOURS_KEPT])
    others = np.setdiff1d(np.arange(total, dtype=np.uint32), kept)
    drawn = np.random.default_rng(SEED).choice(others, POINTS - len(kept), replace=False)
    return np.sort(np.concatenate([kept, drawn]))


def write_points(source, destination, rows):
    wanted = set(rows.tolist())
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        text = "".join(line for row, line in enumerate(lines) if row in wanted)
    # A fixed time and no file name in the header, so that the bytes depend on the content alone.
    with open(destination, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(text.encode("utf-8"))
    return [json.loads(line)["id"] for line in text.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "Sample")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out

    base = np.load(data / "wordnet.base.f16.npy", mmap_mode="r")
    queries = np.load(data / "wordnet.queries.f16.npy")
    truth = np.load(data / "wordnet.gt100.u32.npy")
    query_rows = np.arange(QUERIES) * (len(queries) // QUERIES)
    rows = chosen_points(len(base), truth[query_rows])

    ids = np.array(write_points(data / "wordnet.points.jsonl.gz", out / "points.jsonl.gz", rows), np.uint32)
    np.save(out / "points.f16.npy", np.ascontiguousarray(base[rows]))
    np.save(out / "queries.f16.npy", queries[query_rows])
    lines = (data / "wordnet.queries.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (out / "queries.jsonl").write_text("".join(lines[row] for row in query_rows), encoding="utf-8")

    scores = unit(queries[query_rows]) @ unit(base[rows]).T
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :GROUND_TRUTH]
    np.save(out / "truth.u32.npy", ids[nearest])
    print(f"{len(rows)} points, {len(query_rows)} queries, {GROUND_TRUTH} exact neighbours each")


if __name__ == "__main__":
    main()
