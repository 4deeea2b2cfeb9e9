"""Will this person open this letter? The smallest Scorer case that keeps the contract."""
