"""Encryption in PyTorch, for GPUs. Experimental: it has never run on one."""
