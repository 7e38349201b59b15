"""The main job on real data, in a throw-away profile."""
