"""`pole doctor`: what is missing or wrong on this machine and for this account, each with what mends it."""
