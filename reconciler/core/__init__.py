"""The decisions, and nothing but decisions: no await, no clock, no environment, no files; ``now`` is a parameter."""
