"""The HTTP app, the deadline with its stages, the fallback ladder, the guards at the door."""
