"""The only place where things are wired: which adapter stands behind which port, and how a process begins and ends.

    wiring   settings -> adapters
    reading  what the commands that look at the store need
    acting   one sync, one run, the checks: a process that does one thing
    serving  the long-lived process

Forbidden here: decisions about jobs and runs.
"""
