"""Drift, alerts that say what they mean, and the numbers a scraper reads."""
