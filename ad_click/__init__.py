"""Ad click prediction: from a user and a moment to the ads that win, by probability times bid. A Scorer case."""
