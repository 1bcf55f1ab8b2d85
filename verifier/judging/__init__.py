"""Judging in a process of its own: messages, the process, its sandbox and a session of requests."""
