"""Labelled structures as flat arrays, and what is done with them."""
