"""Encryption in vector kernels that numba compiles."""
