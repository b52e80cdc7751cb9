#!/usr/bin/env python3
"""A shard whose raw vectors do not fit in memory: codes and links do, the raw vectors are read from disk for the best
only.

    Benchmarks/memory/measure.py [--data ../shared/data | --synthetic 200000 --dimension 768] [--share 0.45] [--runs 3]

The shard is built and closed. Then a process of its own opens it, with cold files: once without a limit, once in a
control group (v2 or v1, whichever can be made; the report says). Its bound is what the program took before it opened
the shard, and a share of what the raw float32 vectors take: for each page of the files that it touches, and its heap.
Printed are memory for each point (PSS, less that of the program before it opened the shard) against the raw vector's
bytes, recall, queries/s by processor time and on the wall, and page faults that went to disk.
"""

import argparse
import datetime
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import environment  # noqa: E402
from harness.processes import MemoryLimit, major_faults, proportional_set_bytes, put_out_of_cache  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402
from harness.subject import EF_CONSTRUCT, Curve, M, Subject, measure_curves  # noqa: E402

RECALL = 0.95
TARGET_SHARE = 0.45


class Measured:
    """One process over the shard, after its rounds of queries."""

    def __init__(self, program, data, shard, rounds, limit=None, granted=0):
        put_out_of_cache(shard)
        with Subject("shard", [program, data, "open", 1, shard], before=limit and limit.enter) as subject:
            self.own_memory = proportional_set_bytes(subject.pid)
            if limit:
                limit.set(limit.usage + granted)
            subject.ask(f"open {M} {EF_CONSTRUCT}")
            self.by_processor, self.by_wall = Curve(subject), Curve(subject, rate="queries_per_wall_second")
            measure_curves([self.by_processor], rounds)
            self.ef = self.by_processor.ef_for(RECALL)
            if self.ef is None:
                sys.exit(f"no ef reaches a recall of {RECALL}")
            faults = major_faults(subject.pid)
            for _ in range(rounds):
                self.by_wall.measure(self.ef)
            self.faults_per_query = (major_faults(subject.pid) - faults) / rounds / 1_000
            self.memory = proportional_set_bytes(subject.pid) - self.own_memory
        (_, self.recall, self.wall_rate), = self.by_wall.points

    def row(self, name, points, raw_bytes):
        by_processor = {ef: rate for ef, _, rate in self.by_processor.points}[self.ef]
        return [
            name, self.own_memory / 1e6, self.memory / 1e6, self.memory / points, self.memory / points / raw_bytes, str(self.ef),
            f"{self.recall:.4f}", by_processor, self.wall_rate, f"{self.faults_per_query:.2f}",
        ]


def shape(data):
    import numpy as np

    (path,) = data.glob("*.base.f16.npy")
    return np.load(path, mmap_mode="r").shape


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=environment.WORDNET)
    parser.add_argument("--synthetic", type=int, metavar="POINTS", help="made data in place of WordNet")
    parser.add_argument("--dimension", type=int, default=768, help="of the made data")
    parser.add_argument("--share", type=float, default=TARGET_SHARE, help="of the raw vectors' bytes, the bound")
    parser.add_argument("--runs", type=int, default=3, help="rounds of queries")
    environment.add_program_option(parser)
    arguments = parser.parse_args()
    environment.enter()
    program = environment.program(arguments)
    with tempfile.TemporaryDirectory(prefix="shoal-memory-") as folder:
        data, shard = arguments.data, pathlib.Path(folder) / "shard"
        if arguments.synthetic:
            from harness import data as data_sets

            data = pathlib.Path(folder) / "data"
            data_sets.write(data, "synthetic", *data_sets.synthetic(arguments.synthetic, arguments.dimension))
        points, dimension = shape(data)
        raw_bytes = dimension * 4
        with Subject("build", [program, data, "shard", 2, shard], "0,1") as subject:
            subject.build()
        free = Measured(program, data, shard, arguments.runs)
        granted = int(points * raw_bytes * arguments.share)
        with MemoryLimit() as limit:
            bound = Measured(program, data, shard, arguments.runs, limit, granted) if limit.how else None
    rows = [free.row("no limit", points, raw_bytes)]
    if bound:
        rows.append(bound.row(f"{granted / 1e6:,.0f} MB ({limit.how})", points, raw_bytes))
    report = Report("memory")
    report.add(
        f"{'Synthetic' if arguments.synthetic else 'WordNet'}, {points:,} x {dimension}, cosine: raw vectors "
        f"{points * raw_bytes / 1e6:,.0f} MB; M = {M}, efConstruction = {EF_CONSTRUCT}; one thread; the smallest measured ef "
        f"with recall@10 >= {RECALL}; medians of {arguments.runs}; {machine()}; {datetime.date.today()}"
    )
    report.add(
        table(
            ["", "program (MB)", "shard (MB)", "bytes/point", "share of raw", "ef", "recall@10", "queries/CPU s", "queries/s, wall", "disk faults/query"],
            rows,
        )
    )
    if not bound:
        report.add("No control group could be made here: nothing was limited, and nothing is known of a bound.")
        return
    share = bound.memory / points / raw_bytes
    met = "met" if share <= TARGET_SHARE and bound.recall >= RECALL else "missed"
    kept = bound.wall_rate / free.wall_rate
    report.add(f"Memory for a point: {share:.2f} of its raw vector, target {TARGET_SHARE}: {met}. Rate kept on the wall: {kept:.2f}.")


if __name__ == "__main__":
    main()
