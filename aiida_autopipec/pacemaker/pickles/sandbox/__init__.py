"""What runs in the child process that reads an untrusted pickle: numpy and isal only, no pandas, no ase, no aiida."""
