"""Seeds and threads, set in one place, and the one loop every torch model trains in."""
