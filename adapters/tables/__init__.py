"""Archives that are tables on this machine: questions as SQL, and the thread that a database is asked in."""
