"""`make load`: many roles on one chain. `make soak` shares its chain, its tasks and its accounting."""
