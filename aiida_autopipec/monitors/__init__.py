"""Monitors of running jobs."""
