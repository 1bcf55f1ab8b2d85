"""The data client on the gradient chain: commissions training blocks on rows that are public."""
