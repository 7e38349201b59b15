"""Pacemaker without AiiDA: datasets, settings, files and commands."""
