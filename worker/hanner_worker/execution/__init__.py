"""What runs in a pool process, and nothing else."""
