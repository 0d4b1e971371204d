"""The triggers: the only modules that see a Lambda event."""
