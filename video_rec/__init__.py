"""Video feed: from millions of videos to the twenty on the screen, within 150 ms. A Ranker case."""
