"""The miner on the gradient chain: trains along its forced trajectory and proposes the steps that are blocks."""
