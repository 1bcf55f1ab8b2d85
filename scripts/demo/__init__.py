"""The main job on a local chain: every part real, every role a process of its own. `python -m scripts.demo --help`"""
