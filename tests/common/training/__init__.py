"""Tests of common/training."""
