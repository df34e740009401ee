"""How each kind of archive is spoken to: a folder per protocol. Found by entry point, imported by nobody."""
