"""A process under measurement, which answers one command a line with one line of JSON."""

import json
import math
import statistics
import subprocess
import sys

# As Qdrant, hnswlib and faiss are most often compared.
M, EF_CONSTRUCT, K = 16, 128, 10
EFS = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448]
# A sweep ends at the first ef that reaches this.
ENOUGH = 0.995


class Subject:
    def __init__(self, name, command, cores="1", before=None):
        """`before` runs in the child before the program starts."""
        self.name = name
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, *map(str, command)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=before,
        )
        self._read()

    @property
    def pid(self):
        return self.process.pid

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            sys.exit(f"{self.name}: {command}: {answer['error']}")
        return answer

    def build(self):
        return self.ask(f"build {M} {EF_CONSTRUCT}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if failure[0]:
            self.process.kill()
        self.close()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)


class Curve:
    """Recall and rate of one contender for each ef: medians of as many rounds as were made."""

    def __init__(self, subject, verb="search", rate="queries_per_second"):
        self.subject, self.verb, self.rate = subject, verb, rate
        self.recalls, self.rates = {}, {}

    def find_range(self):
        """One round of each ef, from the smallest up to the first that is enough."""
        for ef in EFS:
            self.measure(ef)
            if self.recalls[ef] >= ENOUGH:
                return

    def measure(self, ef):
        answer = self.subject.ask(f"{self.verb} {ef}")
        self.recalls[ef] = answer["recall"]
        self.rates.setdefault(ef, []).append(answer[self.rate])

    def measure_all(self):
        for ef in list(self.recalls):
            self.measure(ef)

    @property
    def points(self):
        """(ef, recall, rate), in order of ef."""
        return [(ef, self.recalls[ef], statistics.median(self.rates[ef])) for ef in sorted(self.recalls)]

    def rate_at(self, recall):
        """The rate at a recall, between the two neighbouring ef: its logarithm is taken as linear there.

        None when no ef reaches the recall; the smallest ef's own rate when that one has more recall already.
        """
        before = None
        for _, reached, rate in self.points:
            if reached >= recall:
                if before is None or reached == before[0]:
                    return rate
                share = (recall - before[0]) / (reached - before[0])
                return math.exp(math.log(before[1]) * (1 - share) + math.log(rate) * share)
            before = (reached, rate)
        return None

    def ef_for(self, recall):
        """The smallest ef that was measured to reach the recall; None when none does."""
        return next((ef for ef, reached, _ in self.points if reached >= recall), None)


def measure_curves(curves, rounds):
    """Rounds of every contender in turn, so that what else the machine does falls on all of them."""
    for curve in curves:
        curve.find_range()
    for _ in range(rounds - 1):
        for curve in curves:
            curve.measure_all()
