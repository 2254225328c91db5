"""The append-only ledger of a course, and the audit that compares everything with it."""
