"""How long verification takes, side by side with its peers: `make bench`."""
