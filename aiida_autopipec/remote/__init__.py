"""Scripts that travel with a job and run in the Python of Pacemaker on the computer."""
