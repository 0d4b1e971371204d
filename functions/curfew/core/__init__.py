"""The pure middle of the pipeline: what to do and why, worked out from data alone.

Nothing in here knows an SDK, a clock, the environment or a logger. Time is an argument.
"""
