"""Migrations of Stockade's own tables."""
