"""What users may write: one pydantic model per idea, strict, frozen, unknown fields refused.

Pydantic and the standard library only. Nothing here reads files, resolves references or knows the time;
whatever needs two manifests at once is decided in ``reconciler.core``.
"""
