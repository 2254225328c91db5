"""Assess the evidence that a submission left: tests in a trusted process, then one verdict."""
