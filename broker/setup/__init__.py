"""The federation file: archives, limits, credentials by reference."""
