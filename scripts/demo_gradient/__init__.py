"""The gradient chain's demo on a local chain: every part is real, every role is a process of its own."""
