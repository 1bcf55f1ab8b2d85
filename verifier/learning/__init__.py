"""The verifier on the learning chain: evaluates every revealed model and votes on it."""
