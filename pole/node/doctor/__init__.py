"""`pole doctor`: says what is missing or wrong on this machine and for this account, and what mends it."""
