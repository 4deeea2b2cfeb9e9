"""Tests of common/lifecycle."""
