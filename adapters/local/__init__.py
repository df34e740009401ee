"""Archives without an interface, as imported into the catalog. The way in is `adapter`."""
