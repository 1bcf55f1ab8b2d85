"""Content by its CID: in a folder, over IPFS; and the tensor files that carry rows and weights."""
