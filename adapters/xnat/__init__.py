"""XNAT archives. The way in is `adapter`."""
