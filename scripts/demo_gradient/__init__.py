"""The gradient chain on a local chain: every part real, every role a process of its own."""
