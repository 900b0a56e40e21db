"""Versions of Stockade's own tables, oldest first."""
