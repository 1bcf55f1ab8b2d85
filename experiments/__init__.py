"""The papers' experiments, each with one command: `python -m experiments NAME`."""
