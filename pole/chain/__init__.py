"""The Ethereum node and the deployed contracts: reading, sending exactly once, deploying."""
