"""The learning chain's demo on a local chain, each role a process. `python -m scripts.demo --help`"""
