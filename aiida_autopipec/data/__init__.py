"""Data nodes."""
