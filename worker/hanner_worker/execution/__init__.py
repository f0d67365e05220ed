"""All that runs in a pool process, and nothing else."""
