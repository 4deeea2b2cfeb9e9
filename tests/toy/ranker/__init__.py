"""Which book next? The smallest Ranker case that keeps the contract."""
