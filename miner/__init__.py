"""The miner: trains on the most valuable task and competes for its reward."""
