"""Everything that is stored, a folder for each kind of it."""
