"""The NCI Imaging Data Commons, offline. The way in is `adapter`."""
