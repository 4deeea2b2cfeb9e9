"""Harmful content: from a post and its author to an action and the reason for it. A Scorer case with one probability a policy."""
