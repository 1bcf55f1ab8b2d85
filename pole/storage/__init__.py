"""Content by its CID, in a folder or over IPFS; and the tensor files that hold rows and weights."""
