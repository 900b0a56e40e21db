"""Projects of a company, and the notes that belong to them."""
