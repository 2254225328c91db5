"""To come."""

