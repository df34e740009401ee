"""Fetching what an answer names: checked, under names of ours, resumed where it was left."""
