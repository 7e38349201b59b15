"""Selection of structures: what can be asked for, what travels with the job, and what comes back."""
