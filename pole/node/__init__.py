"""What a long-running role is made of: command line, context, loop, logs, accounts."""
