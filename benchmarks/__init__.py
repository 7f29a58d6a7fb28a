"""Measures the figures of docs/performance.md: ``make bench``. One module for each benchmark."""
