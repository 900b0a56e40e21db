"""Offer the command line ``stockade``."""

from stockade.cli.entry import app, main

__all__ = ["app", "main"]
