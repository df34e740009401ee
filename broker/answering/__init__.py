"""The answer as it leaves: pages, exports, schema."""
