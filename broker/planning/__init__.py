"""What an archive may be asked: weaker forms, privacy, trust, and the check of what comes back."""
