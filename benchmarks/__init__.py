"""`make bench`: measure the costs of a sweep and of other tools that do the same work."""
