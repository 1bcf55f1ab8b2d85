"""The verifier on the gradient chain: replays the steps of proposed blocks."""
