"""How each kind of archive is spoken to: one file per protocol. Found by entry point, imported by nobody."""
