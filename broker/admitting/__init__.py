"""Whether an archive may be asked now, and what is kept of that: pauses after failures, checks, the audit."""
