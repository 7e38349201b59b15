"""Settings of a training that follow from the data: protocols, and what the user overrides."""
