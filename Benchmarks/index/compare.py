#!/usr/bin/env python3
"""Compares Shoal's index and shard with hnswlib, usearch and faiss: the same data, parameters, core and run.

    Benchmarks/index/compare.py [--quick] [--data ../shared/data] [--core 1] [--runs 3]

All peers are swept over ef, in turn, one thread on one core; queries/s at a recall are interpolated between two ef.
Rates are per second of processor time, so that other load on the machine weighs less. With two threads a rate is
twice the one per processor second, which overlooks time that threads spend waiting for each other; the rate on the
wall beside it counts that, and other load on the machine too.

Prints tables with the targets, and writes them and a plot of recall against queries/s to Benchmarks/results/.
"""

import argparse
import datetime
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import environment  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402
from harness.subject import EF_CONSTRUCT, Curve, M, Subject, measure_curves  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
QUICK_ROWS = 25_000
RECALLS = [0.95, 0.99]
PEERS = {
    "hnswlib": "hnswlib",
    "usearch f32": "usearch-f32",
    "usearch bf16": "usearch-bf16",
    "usearch i8": "usearch-i8",
    "faiss HNSWFlat": "faiss-flat",
    "faiss HNSWSQ8": "faiss-sq8",
}
INDEX, SHARD, MAPPED, REFERENCE = "Shoal index", "Shoal shard", "Shoal mapped", "hnswlib"


def commands(program, data, threads):
    found = {name: [sys.executable, HERE / "peer.py", kind, data, threads] for name, kind in PEERS.items()}
    found[INDEX] = [program, data, "heap", threads]
    found[SHARD] = [program, data, "shard", threads]
    return found


def build_rates(subjects, runs, key):
    """name -> median of what `key` says of each build; the subjects build in turn."""
    rates = {subject.name: [] for subject in subjects}
    for _ in range(runs):
        for subject in subjects:
            print(f"  building: {subject.name}", file=sys.stderr)
            answer = subject.build()
            rates[subject.name].append([answer[word] for word in key])
    return {name: [statistics.median(column) for column in zip(*found)] for name, found in rates.items()}


def measure_one_thread(program, data, core, runs):
    """(inserts by name: per processor second and on the wall; curves by name)."""
    subjects = [Subject(name, command, core) for name, command in commands(program, data, 1).items()]
    inserts = build_rates(subjects, runs, ["inserts_per_second", "inserts_per_wall_second"])
    curves = {subject.name: Curve(subject) for subject in subjects}
    by_name = {subject.name: subject for subject in subjects}
    # The same graph without what a shard adds to it, and the same codes with what a caller of faiss would add.
    curves[MAPPED] = Curve(by_name[SHARD], "walk")
    curves["faiss HNSWSQ8, refined"] = Curve(by_name["faiss HNSWSQ8"], "refine")
    print("  sweeping ef", file=sys.stderr)
    measure_curves(list(curves.values()), runs)
    for subject in subjects:
        subject.close()
    return inserts, curves


def measure_two_threads(program, data, runs):
    """name -> (twice the inserts per processor second, inserts per second on the wall)."""
    found = {}
    for name, command in commands(program, data, 2).items():
        with Subject(name, command, "0,1") as subject:
            found |= build_rates([subject], runs, ["inserts_per_second", "inserts_per_wall_second"])
    return {name: (2 * rates[0], rates[1]) for name, rates in found.items()}


def comparison(one, two, curves):
    names = [REFERENCE, *(name for name in curves if name != REFERENCE)]
    rows = [[name, one[name][0] if name in one else "", *two.get(name, ("", ""))] for name in names]
    for row in rows:
        row += [curves[row[0]].rate_at(recall) for recall in RECALLS]
    header = ["", "inserts/s, 1 thread", "2 threads, by CPU", "2 threads, by wall"]
    return table(header + [f"queries/s at recall {recall}" for recall in RECALLS], rows)


def targets(one, two, curves):
    """What is wanted, and what was measured."""
    peers = [name for name in curves if not name.startswith("Shoal")]
    at = {recall: {name: curve.rate_at(recall) for name, curve in curves.items()} for recall in RECALLS}

    def ratio(a, b):
        return a / b if a and b else None

    best = {recall: max((at[recall][name] or 0, name) for name in peers) for recall in RECALLS}
    shoal, shard = {r: at[r][INDEX] for r in RECALLS}, {r: at[r][SHARD] for r in RECALLS}
    rows = [
        ("index against hnswlib at 0.95", ratio(shoal[0.95], at[0.95][REFERENCE]), 3.0),
        (f"index against the best peer at 0.95 ({best[0.95][1]})", ratio(shoal[0.95], best[0.95][0]), 1.8),
        ("index against hnswlib at 0.99", ratio(shoal[0.99], at[0.99][REFERENCE]), 2.5),
        (f"index against the best peer at 0.99 ({best[0.99][1]})", ratio(shoal[0.99], best[0.99][0]), ""),
        ("build against hnswlib, one thread", ratio(one[INDEX][0], one[REFERENCE][0]), 3.0),
        ("build, two threads against one, by CPU", ratio(two[INDEX][0], one[INDEX][0]), 1.8),
        ("build, two threads against one, by wall", ratio(two[INDEX][1], one[INDEX][1]), 1.8),
        ("shard against bare index at 0.95", ratio(shard[0.95], shoal[0.95]), 0.85),
        ("shard against bare index at 0.99", ratio(shard[0.99], shoal[0.99]), 0.85),
    ]
    return table(["ratio", "measured", "target", ""], [(*row, verdict(row[1], row[2])) for row in rows])


def verdict(measured, target):
    if target == "":
        return ""
    return "met" if measured is not None and measured >= target else "missed"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=environment.WORDNET)
    parser.add_argument("--core", default="1")
    parser.add_argument("--runs", type=int, default=3, help="builds of each peer, and rounds of each ef")
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_ROWS:,} rows only: some minutes")
    environment.add_program_option(parser)
    arguments = parser.parse_args()
    environment.enter()
    program = environment.program(arguments)
    with tempfile.TemporaryDirectory(prefix="shoal-compare-") as folder:
        data, size = arguments.data, "117,659"
        if arguments.quick:
            from harness.data import part_of_wordnet

            data, size = pathlib.Path(folder), f"{QUICK_ROWS:,} of 117,659"
            part_of_wordnet(arguments.data, data, QUICK_ROWS)
        one, curves = measure_one_thread(program, data, arguments.core, arguments.runs)
        two = measure_two_threads(program, data, arguments.runs)
    report = Report("index")
    report.add(
        f"WordNet, {size} x 384, cosine; M = {M}, efConstruction = {EF_CONSTRUCT}; recall@10 of 1,000 queries; medians "
        f"of {arguments.runs} builds and rounds; {machine()}; {datetime.date.today()}"
    )
    report.add(comparison(one, two, curves))
    report.add(targets(one, two, curves))
    sweeps = [
        (name, ef, f"{recall:.4f}", rate) for name, curve in curves.items() for ef, recall, rate in curve.points
    ]
    report.add("Sweeps:\n\n" + table(["", "ef", "recall@10", "queries/s"], [(n, str(e), r, q) for n, e, r, q in sweeps]))
    report.plot_curves(f"WordNet, {size} x 384, M = {M}, one core", {n: c.points for n, c in curves.items()})


if __name__ == "__main__":
    main()
