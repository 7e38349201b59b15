"""Importers: calculations that were done outside of AiiDA enter the graph."""
