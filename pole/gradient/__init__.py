"""Directed guiding gradients: blocks that are training steps. Source: DGG"""
