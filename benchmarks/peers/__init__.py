"""The peers: other programs that do the same work."""
