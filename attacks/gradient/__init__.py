"""`make attack-gradient`: attacks on the gradient chain's rules, as published and hardened, against the real core."""
