"""Figures of the gradient chain's core: mining, odds, verification, agreement. `make bench-gradient`"""
