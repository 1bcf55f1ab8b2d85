"""Every check and figure that needs a GPU, in parts that can be resumed. `make gpu`"""
