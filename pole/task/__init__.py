"""A task off chain: manifest, rows, models, weights and scores. Nothing in here uses the network."""
