"""`make soak`: many rounds with random kills; the memory of processes that are not killed must not grow."""
