"""What we measure: speed, gas, load, endurance."""
