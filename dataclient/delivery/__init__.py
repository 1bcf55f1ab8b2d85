"""What a client gets for its money: a folder that can be used, read and checked without this project."""
