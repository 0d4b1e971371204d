"""Worlds: Curfew's own handlers in ten thousand hostile nights, and what has to be true after each.

    python -m hostile.worlds --count 1000 --fresh
    python -m hostile.worlds --seed 7

``stage`` runs the handlers on a world, ``story`` draws from the seed what happens there, ``invariants`` judge by what
the cloud saw, ``run`` does it many times, ``belts`` takes a safety rule out and shows that it is missed. Only these
modules know Curfew; the cloud does not. See docs/hostile-cloud.md.
"""
