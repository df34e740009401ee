"""What values mean: dates, names, numbers, character sets, and when two of them are the same."""
