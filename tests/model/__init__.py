"""The decision core against a plain model of it, in simulated time: processes, faults and edits in any order.

The parts are the product's own: runner, arrears, lead, upkeep, stops, chains, sync, clock. Only time, the store, the
source and the target are simulated. What must hold is worked out apart from the product, by counting minutes.
"""
