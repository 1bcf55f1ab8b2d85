"""What the explorer asks of a node: logs, headers and views, read only."""
