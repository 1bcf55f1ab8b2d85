"""How fast the explorer indexes, and how fast its pages are with many rounds stored."""
