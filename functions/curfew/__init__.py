"""Curfew: a janitor for cloud fleets.

One pipeline, in this order, and no way back:

    trigger -> request -> find -> decide -> guard -> act -> report

The stages are modules: ``handlers`` and ``cli`` receive a trigger, ``schemas`` turns it into a request,
``providers`` find, ``core`` decides and guards without touching the world, ``execute`` acts, ``render`` reports.
"""

__version__ = "0.1.0"
