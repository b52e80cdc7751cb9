#!/usr/bin/env python3
"""How a shard's speed changes as it grows: build, queries, and the first answer after a restart with cold files.

    Benchmarks/growth/measure.py [--quick] [--sizes 10000 100000 1000000] [--dimension 128] [--runs 3]

The data is made (see harness/data.py): clusters with power-law sizes, few intrinsic dimensions, noise. With the
defaults it takes about six minutes and 2 GB of memory and of disk; a million points of 768 dimensions (`--sizes
1000000 --dimension 768`) take 8 GB of memory, 12 GB of disk and most of an hour.

Queries run on one thread and their rate is per second of processor time, medians of the rounds. Each size is built
once, with two threads. The restart is a new process: the files are put out of the page cache first, and the time is
from opening the shard to the first answer; how much of the files it read for that stands beside it.
"""

import argparse
import datetime
import math
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import environment  # noqa: E402
from harness.processes import bytes_read, disk_bytes, put_out_of_cache  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402
from harness.subject import EF_CONSTRUCT, Curve, M, Subject, measure_curves  # noqa: E402

SIZES, QUICK_SIZES = [10_000, 100_000, 1_000_000], [10_000, 30_000, 100_000]
RECALL = 0.95
FIRST_ANSWER_TARGET_MS = 300


def restart(program, data, shard):
    """(milliseconds to the first answer, megabytes read from disk, recall of that answer)."""
    put_out_of_cache(shard)
    with Subject("restart", [program, data, "open", 1, shard], "0,1") as subject:
        before = bytes_read(subject.pid)
        answer = subject.ask(f"open {M} {EF_CONSTRUCT}")
        read = bytes_read(subject.pid) - before
    return answer["answered_seconds"] * 1_000, read / 1e6, answer["recall"]


def measure(program, folder, size, arguments):
    from harness import data as data_sets

    data, shard = folder / f"data-{size}", folder / f"shard-{size}"
    print(f"  {size:,} points: data", file=sys.stderr)
    data_sets.write(data, "synthetic", *data_sets.synthetic(size, arguments.dimension))
    print(f"  {size:,} points: building", file=sys.stderr)
    with Subject(f"{size:,}", [program, data, "shard", 2, shard], "0,1") as subject:
        built = subject.build()
        curves = {"Shoal shard": Curve(subject), "Shoal mapped": Curve(subject, "walk")}
        measure_curves(list(curves.values()), arguments.runs)
    print(f"  {size:,} points: restarting", file=sys.stderr)
    restarts = [restart(program, data, shard) for _ in range(arguments.runs)]
    return {
        "built": built,
        "curves": curves,
        "first_answer_ms": statistics.median(r[0] for r in restarts),
        "read_mb": statistics.median(r[1] for r in restarts),
        "first_recall": min(r[2] for r in restarts),
        "disk_mb": disk_bytes(shard) / 1e6,
    }


def growth_table(found):
    smallest = min(found)
    reference = found[smallest]["curves"]["Shoal shard"].rate_at(RECALL)
    rows = []
    for size, one in found.items():
        rate = one["curves"]["Shoal shard"].rate_at(RECALL)
        kept = rate / reference if rate and reference else None
        expected = math.log(smallest) / math.log(size)
        rows.append(
            [
                f"{size:,}", 2 * one["built"]["inserts_per_second"], one["built"]["inserts_per_wall_second"], rate,
                one["curves"]["Shoal mapped"].rate_at(RECALL), str(one["curves"]["Shoal shard"].ef_for(RECALL)),
                kept, expected, one["first_answer_ms"], f"{one['read_mb']:.1f} of {one['disk_mb']:,.0f}",
                one["first_recall"],
            ]
        )
    header = [
        "points", "inserts/s, 2 threads, by CPU", "by wall", f"shard: queries/s at recall {RECALL}", "graph alone", "ef",
        f"rate kept from {smallest:,}", "log n would keep", "first answer, cold (ms)", "MB read for it", "its recall",
    ]
    return table(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3, help="rounds of queries, and restarts")
    parser.add_argument("--quick", action="store_true", help=f"sizes up to {QUICK_SIZES[-1]:,}: a minute or two")
    parser.add_argument("--folder", type=pathlib.Path, help="where data and shards go, instead of the temporary folder")
    environment.add_program_option(parser)
    arguments = parser.parse_args()
    environment.enter()
    program = environment.program(arguments)
    sizes = sorted(arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES))
    with tempfile.TemporaryDirectory(prefix="shoal-growth-", dir=arguments.folder) as folder:
        found = {size: measure(program, pathlib.Path(folder), size, arguments) for size in sizes}
    report = Report("growth")
    report.add(
        f"Synthetic, {arguments.dimension} dimensions, cosine; M = {M}, efConstruction = {EF_CONSTRUCT}; recall@10 of 1,000 "
        f"queries; medians of {arguments.runs}; {machine()}; {datetime.date.today()}"
    )
    report.add(growth_table(found))
    slowest = max(one["first_answer_ms"] for one in found.values())
    met = "met" if slowest <= FIRST_ANSWER_TARGET_MS else "missed"
    report.add(f"First answer after a restart: at most {slowest:.0f} ms; target {FIRST_ANSWER_TARGET_MS} ms: {met}.")
    curves = {f"Shoal shard, {size:,}": one["curves"]["Shoal shard"].points for size, one in found.items()}
    report.plot_curves(f"Synthetic, {arguments.dimension} dimensions, M = {M}, one core", curves)


if __name__ == "__main__":
    main()
