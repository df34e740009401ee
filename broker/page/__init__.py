"""What the page of the matrix is made of beside its content: its style and its script."""
