"""Work chains."""
