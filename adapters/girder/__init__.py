"""Girder archives. The way in is `adapter`."""
