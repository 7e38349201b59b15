"""The command line `aiida-autopipec`."""
