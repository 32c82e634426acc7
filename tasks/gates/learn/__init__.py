"""Suites learned from data: what holds in all of it, and how far chance lets fresh rows be off."""
