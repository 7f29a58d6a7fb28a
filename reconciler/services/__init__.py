"""What the product does, in terms of ``core`` and ``ports`` only. Forbidden: any foreign thing, any adapter."""
