"""Measurements: speed, gas, load, endurance."""
