"""Notes, which belong to a company."""
