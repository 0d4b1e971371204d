"""*trigger*, over HTTP: each module has some of the routes, ``serving`` what all of them have in common."""
