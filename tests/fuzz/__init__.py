"""Whatever a manifest or a delivery holds, it is answered: random and mutated ones, by the million.

``make fuzz`` is the long form, the tests beside this file the short one.
"""
