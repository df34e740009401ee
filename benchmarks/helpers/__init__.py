"""Programs that the benchmarks start as processes of their own. Each answers lines of JSON with lines of JSON."""
