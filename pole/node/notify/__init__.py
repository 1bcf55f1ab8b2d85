"""Tells a person what they must know of a role, over the services that `--notify` names."""
