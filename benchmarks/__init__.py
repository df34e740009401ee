"""How fast the broker is, as ratios to the same work done by other means. Run `python -m benchmarks`."""
