"""Search: from biased clicks to a ranking that is right."""
