"""What a sweep costs, beside its peers on the same work: `make bench`."""
