"""`make openstack`: the life of a fleet on a real OpenStack control plane, through the handlers and the terminal."""
