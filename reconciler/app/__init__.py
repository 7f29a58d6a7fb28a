"""The only place where things are wired: which adapter stands behind which port, and how a process begins and ends.

    wiring   settings -> adapters
    reading  what the commands that look at the store need
    acting   one sync, one run, the checks: a process that does one thing
    serving  the long-lived process, which is wired in ``engine`` of what shares one ``context``:

        calling    caller, secrets, credentials, authentication
        deciding   runner, arrears, chains, stops, strikes, upkeep
        leading    the lead, and attending to what comes
        answering  HTTP

Forbidden here: decisions about jobs and runs.
"""
