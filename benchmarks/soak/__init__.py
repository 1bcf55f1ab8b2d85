"""`make soak`: round after round with random kills; what is not killed must not grow."""
