#!/usr/bin/env python3
"""A shard after deletes and updates, before and after its compaction, against one that was built anew from the same
points.

    Benchmarks/churn/measure.py [--quick] [--data ../shared/data] [--runs 3]

Half of the points are deleted at random; in another shard, each point is written once more, in random order, with the
vector that it has, so that the true neighbours stay the same. Measured are recall and queries/s at one ef, queries/s
at a recall of 0.95 (between two ef), and bytes in use in the files; the log that is kept for replicas is part of
them. A quarter deleted, at random or all of one region (the points nearest to one of them), is what a shard may have
before a node compacts it: it is compared with a shard of the rest that was built anew. Rates are per second of processor
time, medians of the rounds.
"""

import argparse
import datetime
import itertools
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import environment  # noqa: E402
from harness.processes import disk_bytes  # noqa: E402
from harness.report import Report, machine, table  # noqa: E402
from harness.subject import EF_CONSTRUCT, Curve, M, Subject, measure_curves  # noqa: E402

EF, RECALL, SEED = 56, 0.95, 1
QUICK_ROWS = 25_000
MOST_LOST_RECALL, MOST_DISK = 0.01, 1.5
# Before a compaction: below it the links of live rows would need repair.
LEAST_RATE = 0.8


class State:
    """What a shard is like at one moment."""

    def __init__(self, name, subject, folder, rounds):
        curve = Curve(subject)
        measure_curves([curve], rounds)
        by_ef = {ef: (recall, rate) for ef, recall, rate in curve.points}
        if EF not in by_ef:
            curve.measure(EF)
            by_ef = {ef: (recall, rate) for ef, recall, rate in curve.points}
        self.name, (self.recall, self.rate) = name, by_ef[EF]
        self.rate_at_recall = curve.rate_at(RECALL)
        state = subject.ask("state")
        self.points, self.used, self.disk = state["points"], state["used_bytes"], disk_bytes(folder)

    def row(self):
        return [
            self.name, f"{self.points:,.0f}", f"{self.recall:.4f}", self.rate, self.rate_at_recall,
            self.used / 1e6, self.disk / 1e6,
        ]


def part(data, folder, keep):
    """A data set of the kept rows, as a fresh shard would have them."""
    import numpy as np
    from harness import data as data_sets

    (path,) = data.glob("*.base.f16.npy")
    name = path.name.removesuffix(".base.f16.npy")
    data_sets.write(folder, name, np.load(path)[keep], np.load(data / f"{name}.queries.f16.npy"))


def churned(program, data, folder, command, rounds):
    """(state before the compaction, after it, seconds of the compaction, the rows that are left)."""
    with Subject(command, [program, data, "shard", 2, folder], "0,1") as subject:
        subject.build()
        subject.ask(command)
        before = State(f"{command.split()[0]}d, not compacted", subject, folder, rounds)
        took = subject.ask("compact")
        after = State(f"{command.split()[0]}d, compacted", subject, folder, rounds)
    return before, after, took


def quarters(program, data, folder, rounds):
    """For a quarter deleted at random, and one of a region: (not compacted, a fresh shard of the rest)."""
    import numpy as np
    from harness.data import unit, write

    (path,) = data.glob("*.base.f16.npy")
    name = path.name.removesuffix(".base.f16.npy")
    base, queries = np.load(path), np.load(data / f"{name}.queries.f16.npy")
    dice, rows, count = np.random.default_rng(SEED), unit(base), len(base) // 4
    deleted = {
        "at random": dice.permutation(len(base))[:count],
        "one region": np.argsort(-(rows @ rows[dice.integers(len(base))]), kind="stable")[:count],
    }
    pairs = []
    for kind, gone in deleted.items():
        print(f"  a quarter deleted, {kind}", file=sys.stderr)
        kept = np.setdiff1d(np.arange(len(base)), gone)
        rest, whole = folder / f"{kind}, rest", folder / f"{kind}, whole"
        write(rest, name, base[kept], queries)
        # The same neighbours, by the numbers that the rows have among all.
        whole.mkdir()
        np.save(whole / f"{name}.base.f16.npy", base)
        np.save(whole / f"{name}.queries.f16.npy", queries)
        np.save(whole / f"{name}.gt100.u32.npy", kept[np.load(rest / f"{name}.gt100.u32.npy")].astype(np.uint32))
        shard = folder / f"{kind}, shard"
        with Subject(kind, [program, whole, "shard", 2, shard], "0,1") as subject:
            subject.build()
            subject.ask(f"remove {' '.join(map(str, sorted(gone)))}")
            before = State(f"a quarter deleted, {kind}, not compacted", subject, shard, rounds)
        pairs.append((before, fresh(program, rest, folder / f"{kind}, fresh", f"fresh, the rest ({kind})", rounds)))
    return pairs


def fresh(program, data, folder, name, rounds):
    with Subject(name, [program, data, "shard", 2, folder], "0,1") as subject:
        subject.build()
        return State(name, subject, folder, rounds)


def survivors(count, permille, seed):
    """The rows that index-benchmark's `delete` leaves: SplitMix64, one number for each row."""
    mask, state, kept = (1 << 64) - 1, seed, []
    for row in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        if (mixed ^ (mixed >> 31)) % 1_000 >= permille:
            kept.append(row)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=environment.WORDNET)
    parser.add_argument("--runs", type=int, default=3, help="rounds of queries")
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_ROWS:,} rows only")
    environment.add_program_option(parser)
    arguments = parser.parse_args()
    environment.enter()
    program = environment.program(arguments)
    import numpy as np
    from harness.data import part_of_wordnet

    with tempfile.TemporaryDirectory(prefix="shoal-churn-") as name:
        folder, data = pathlib.Path(name), arguments.data
        if arguments.quick:
            data = folder / "data"
            part_of_wordnet(arguments.data, data, QUICK_ROWS)
        count, dimension = np.load(next(data.glob("*.base.f16.npy")), mmap_mode="r").shape
        rounds = arguments.runs
        quartered = quarters(program, data, folder, rounds)
        print("  half deleted", file=sys.stderr)
        deleted = churned(program, data, folder / "deleted", f"delete 500 {SEED}", rounds)
        part(data, folder / "half", survivors(count, 500, SEED))
        half = fresh(program, folder / "half", folder / "fresh-half", "fresh, half of the points", rounds)
        print("  each point updated", file=sys.stderr)
        updated = churned(program, data, folder / "updated", f"update {SEED}", rounds)
        whole = fresh(program, data, folder / "fresh", "fresh, all points", rounds)
    report = Report("churn")
    report.add(
        f"WordNet, {count:,} x {dimension}, cosine; M = {M}, efConstruction = {EF_CONSTRUCT}; recall@10 and queries/s at ef {EF}; "
        f"medians of {rounds}; {machine()}; {datetime.date.today()}"
    )
    header = ["", "points", "recall@10", "queries/s", f"queries/s at recall {RECALL}", "MB in use", "MB on disk"]
    states = [*itertools.chain(*quartered), *deleted[:2], half, *updated[:2], whole]
    report.add(table(header, [state.row() for state in states]))
    rows = []
    for before, new in quartered:
        lost, kept = new.recall - before.recall, before.rate / new.rate
        met = lost <= MOST_LOST_RECALL and kept >= LEAST_RATE
        both = before.rate_at_recall and new.rate_at_recall
        at_recall = before.rate_at_recall / new.rate_at_recall if both else None
        rows.append([before.name, f"{lost:+.4f}", kept, at_recall, "met" if met else "missed"])
    header = [
        "", f"recall lost (at most {MOST_LOST_RECALL})", f"rate kept (at least {LEAST_RATE})", "rate kept at that recall", ""
    ]
    report.add(table(header, rows))
    rows = []
    for (_, after, took), new in ((deleted, half), (updated, whole)):
        lost, disk = new.recall - after.recall, after.disk / new.disk
        met = lost <= MOST_LOST_RECALL and disk <= MOST_DISK
        kept = after.rate_at_recall / new.rate_at_recall if after.rate_at_recall and new.rate_at_recall else None
        rows.append([after.name, f"{lost:+.4f}", disk, kept, took["seconds"], "met" if met else "missed"])
    report.add(
        table(
            ["", f"recall lost (at most {MOST_LOST_RECALL})", f"disk (at most {MOST_DISK} x)", "rate kept", "compaction (s)", ""], rows
        )
    )


if __name__ == "__main__":
    main()
