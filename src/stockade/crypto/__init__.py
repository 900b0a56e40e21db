"""Derive every key of the application from its secrets, with rotation."""

from stockade.crypto.keys import KeyRing, weakness_of

__all__ = ["KeyRing", "weakness_of"]
