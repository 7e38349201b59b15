"""Parsers of retrieved files into nodes."""
