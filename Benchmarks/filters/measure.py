#!/usr/bin/env python3
"""Measures filtered searches over WordNet: recall and speed at several selectivities, for filters that have nothing to do
with the query and for ones that have.

    Benchmarks/filters/measure.py [--data ../shared/data] [--core 1] [--runs 3] [--queries 300] [--program <path>]

Prints a table and writes it to Benchmarks/results/. Rates are queries per second of processor time, medians of the runs;
"of the better" is against the quicker of an exact scan of the rows that pass and a search without a filter.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

M, EF_CONSTRUCT = 16, 128
PERMILLES = [500, 100, 10, 1]
PLACES = {"random": "at random", "near": "around the query", "far": "far from the query"}


class Program:
    def __init__(self, path, data, core):
        command = ["taskset", "-c", core, path, data, "filters"]
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the program ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def row(program, permille, place, runs, queries):
    found = [program.ask(f"filter {permille} {place} {queries}") for _ in range(runs)]

    def median(key):
        return statistics.median(answer[key] for answer in found)

    rate, scan, unfiltered = (median(f"{key}_per_second") for key in ("queries", "scans", "unfiltered"))
    strategies = ", ".join(f"{name} {count}" for name, count in sorted(found[0]["strategies"].items()))
    return (
        f"| {permille / 10:g} % | {PLACES[place]} | {found[0]['recall']:.3f} | {rate:,.0f} | {scan:,.0f} "
        f"| {unfiltered:,.0f} | {rate / max(scan, unfiltered):.2f} | {strategies} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, default=REPOSITORY.parent / "shared/data")
    parser.add_argument("--core", default="1", help="as taskset takes it")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--program", type=pathlib.Path, help="an index-benchmark that is built already")
    arguments = parser.parse_args()
    path = arguments.program
    if path is None:
        build = ["swift", "build", "-c", "release", "--product", "index-benchmark", "--package-path", REPOSITORY]
        subprocess.run(build, check=True, stdout=sys.stderr)
        path = REPOSITORY / ".build/release/index-benchmark"
    program = Program(path, arguments.data, arguments.core)
    program.ask(f"build {M} {EF_CONSTRUCT}")
    lines = [
        f"WordNet, 117,659 x 384, cosine, recall@10 with the default ef; M = {M}, efConstruction = {EF_CONSTRUCT}; "
        f"one thread; medians of {arguments.runs} rounds of {arguments.queries} queries; {datetime.date.today()}",
        "",
        "| rows that pass | where | recall@10 | queries/s | exact scan | without a filter | of the better | how |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for permille in PERMILLES:
        for place in PLACES:
            lines.append(row(program, permille, place, arguments.runs, arguments.queries))
            print(lines[-1], file=sys.stderr, flush=True)
    program.close()
    text = "\n".join(lines) + "\n"
    print(text)
    results = HERE.parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"filters-{datetime.datetime.now():%Y%m%d-%H%M%S}.md").write_text(text)


main()
