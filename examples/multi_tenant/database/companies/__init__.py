"""Companies, which are Stockade's tenants, their members and their departments."""
