"""Prove every layer of Stockade against real parts."""
