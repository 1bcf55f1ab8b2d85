"""Chains, daemons, processes and rounds that tests, demos, attacks and benchmarks start."""
