"""Programs that the benchmarks start as processes of their own; they answer lines of JSON with the same."""
