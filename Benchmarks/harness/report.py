"""Tables and plots, to the terminal and to Benchmarks/results/."""

import datetime
import os
import pathlib

from .environment import RESULTS


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{model}, {os.cpu_count()} cores"


def number(value):
    """As a cell of a table; three digits where there are no more before the point."""
    if value is None:
        return "not reached"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(number(cell) for cell in row) + " |" for row in rows])


class Report:
    """Prints what it takes, and keeps it in a file named by the benchmark and the time."""

    def __init__(self, name):
        RESULTS.mkdir(exist_ok=True)
        self._base = RESULTS / f"{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
        self._parts = []

    def add(self, text):
        print(text + "\n", flush=True)
        self._parts.append(text)
        self._base.with_suffix(".md").write_text("\n\n".join(self._parts) + "\n")

    def plot_curves(self, title, curves):
        """Queries/s against recall; `curves` is name -> [(ef, recall, rate)]."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(9, 6))
        for name, points in curves.items():
            style = "-o" if name.startswith("Shoal") else "--^"
            axes.plot([p[1] for p in points], [p[2] for p in points], style, label=name, markersize=4)
        axes.set(xlabel="recall@10", ylabel="queries per CPU second", title=title, yscale="log", xlim=(0.85, 1.0))
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
        figure.tight_layout()
        figure.savefig(self._base.with_suffix(".png"), dpi=130)
        pyplot.close(figure)
        self.add(f"Plot: {self._base.name}.png")
