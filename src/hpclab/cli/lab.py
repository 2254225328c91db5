"""To come."""

COMMANDS: list = []
