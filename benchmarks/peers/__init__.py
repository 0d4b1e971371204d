"""The peers: what else does the same work."""
