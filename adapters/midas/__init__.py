"""MIDAS archives. The way in is `adapter`."""
