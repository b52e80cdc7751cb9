"""What the benchmarks share: their environment, the processes that they measure, data, and reports."""
