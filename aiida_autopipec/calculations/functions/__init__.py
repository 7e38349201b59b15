"""Calculation functions."""
