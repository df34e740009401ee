"""Saved queries that can be run again, and what changed between two runs."""
