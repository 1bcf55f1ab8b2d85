"""Training: the interface, the default trainer and its parts."""
