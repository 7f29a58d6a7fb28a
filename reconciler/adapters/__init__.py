"""One foreign thing each, behind a port. Siblings never import each other; foreign errors are translated here."""
