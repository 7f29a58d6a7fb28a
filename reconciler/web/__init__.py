"""HTTP: status for reading, one hook to run a job now. Forbidden: any adapter or service, any decision of the core."""
