"""Parts of a long-running role: command line, context, loop, logs, accounts."""
