"""A task off chain: manifest, rows, models, their weights and scores. Nothing here knows a network."""
