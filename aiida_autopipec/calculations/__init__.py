"""Calculation jobs and functions."""
