"""The verifier: re-evaluates every revealed model and votes on it."""
