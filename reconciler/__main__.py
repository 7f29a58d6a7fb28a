"""``python -m reconciler``: the command, where it is not on the path."""

from reconciler.cli import main

main()
