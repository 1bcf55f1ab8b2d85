"""The miner on the learning chain: open, train, commit, reveal, report."""
