"""PoLe: mapping, features, functional keys and the files of a round. Source: PoLe"""
