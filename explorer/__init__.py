"""A web explorer: indexes the events of deployments, shows them, and says of every figure what proves it."""
