"""HTTP calls on a schedule, declared as manifests and accounted for run by run.

The folders are the architecture; imports point down only:

    cli       what people type
    app       the only place where things are wired
    settings  flags and RECONCILER_* variables
    web       status and trigger over HTTP      adapters  one foreign thing each      services  act, through ports
    ports     what the services need, as Protocols
    core      decides; no I/O, no clock
    schemas   what users may write (its own package)
"""
