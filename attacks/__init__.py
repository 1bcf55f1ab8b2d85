"""Attacks that a cheat would try, carried out against the real parts."""
