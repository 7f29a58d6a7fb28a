"""Measures the figures of docs/performance.md: ``make bench``."""
