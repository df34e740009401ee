"""The words of a query: how keywords, operators and values are read."""
