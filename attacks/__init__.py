"""What a cheat would run, carried out against the real parts."""
