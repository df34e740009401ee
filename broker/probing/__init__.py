"""What a live archive really does: planted, harmless questions, and what follows from the answers."""
