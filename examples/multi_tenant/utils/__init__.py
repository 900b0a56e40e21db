"""Names that the rest of the backend imports."""
