"""The real command, a real target, real files: what users would see. Forbidden here: reaching into the product."""
