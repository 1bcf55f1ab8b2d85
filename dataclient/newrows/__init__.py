"""New rows for a bought model, read as its training rows were."""
