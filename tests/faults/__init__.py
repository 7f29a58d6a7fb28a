"""The fault campaign: real processes, real signals, a network and a database that fail, judged by the target's log."""
