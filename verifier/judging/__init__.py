"""Judging in a separate process: messages, the process, its sandbox, and a session of requests."""
