"""The data client: commissions a model on its own data, issues keys, releases the test set, collects the model."""
