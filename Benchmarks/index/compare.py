#!/usr/bin/env python3
"""Compares the index with hnswlib: the same data, parameters, core and run, one thread each.

    Benchmarks/index/compare.py [--data ../shared/data] [--core 1] [--runs 5]

Builds index-benchmark, makes a virtual environment of its own under Benchmarks/.venv, and prints a table that it also
writes to Benchmarks/results/. Rates are per second of processor time, so that other load on the machine weighs less;
the peers take turns, so that what is left of it falls on both.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
ENVIRONMENT = HERE.parent / ".venv"
REQUIREMENTS = ["hnswlib==0.8.0", "numpy==2.1.3"]

M, EF_CONSTRUCT = 16, 128
EFS = [*range(20, 60, 2), *range(60, 100, 4), *range(100, 161, 10)]
RECALLS = [0.95, 0.99]


class Peer:
    def __init__(self, name, command, core):
        self.name = name
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def smallest_ef(self, recall):
        """The smallest ef of EFS that reaches the recall."""
        for ef in EFS:
            if self.ask(f"search {ef}")["recall"] >= recall:
                return ef
        sys.exit(f"{self.name} does not reach a recall of {recall} with ef {EFS[-1]}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def prepared_commands(data):
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    build = ["swift", "build", "-c", "release", "--product", "index-benchmark", "--package-path", REPOSITORY]
    subprocess.run(build, check=True, stdout=sys.stderr)
    program = REPOSITORY / ".build/release/index-benchmark"
    return {
        "hnswlib 0.8.0": [python, HERE / "hnswlib_peer.py", data],
        # The index alone; the same over blocks that LMDB maps; the whole shard, with ids and payloads of the results.
        "Shoal, index": [program, data, "heap"],
        "Shoal, mapped": [program, data, "mapped"],
        "Shoal, shard": [program, data, "shard"],
    }


def measure(commands, core, runs):
    """Rows of the table: (what, {peer: (value, note)})."""
    peers = [Peer(name, command, core) for name, command in commands.items()]
    rates = {peer.name: [] for peer in peers}
    for _ in range(runs):
        for peer in peers:
            rates[peer.name].append(peer.ask(f"build {M} {EF_CONSTRUCT}")["inserts_per_second"])
    rows = [("inserts/s", {name: (statistics.median(values), "") for name, values in rates.items()})]
    for recall in RECALLS:
        efs = {peer.name: peer.smallest_ef(recall) for peer in peers}
        answers = {peer.name: [] for peer in peers}
        # A run is a fraction of a second: more of them cost little.
        for _ in range(runs * 5):
            for peer in peers:
                answers[peer.name].append(peer.ask(f"search {efs[peer.name]}"))
        cells = {
            name: (
                statistics.median(answer["queries_per_second"] for answer in found),
                f"ef {efs[name]}, recall {found[0]['recall']:.4f}",
            )
            for name, found in answers.items()
        }
        rows.append((f"queries/s at recall@10 >= {recall}", cells))
    for peer in peers:
        peer.close()
    return rows


def table(rows, names, runs):
    reference = names[0]
    lines = [
        f"WordNet, 117,659 x 384 float32, inner product; M = {M}, efConstruction = {EF_CONSTRUCT}; one thread; "
        f"medians of {runs} builds and {runs * 5} rounds of 1,000 queries; {datetime.date.today()}",
        "",
        "| | " + " | ".join(names) + f" | against {reference} |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for what, cells in rows:
        values = [f"{cells[name][0]:,.0f}" + (f" ({cells[name][1]})" if cells[name][1] else "") for name in names]
        ratios = " / ".join(f"{cells[name][0] / cells[reference][0]:.2f}" for name in names[1:])
        lines.append(f"| {what} | " + " | ".join(values) + f" | {ratios} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, default=REPOSITORY.parent / "shared/data")
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3, help="builds of each peer; five times as many rounds of queries")
    arguments = parser.parse_args()
    commands = prepared_commands(arguments.data)
    text = table(measure(commands, arguments.core, arguments.runs), list(commands), arguments.runs)
    print(text)
    results = HERE.parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"index-{datetime.datetime.now():%Y%m%d-%H%M%S}.md").write_text(text)


main()
