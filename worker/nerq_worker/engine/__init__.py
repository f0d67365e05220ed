"""What runs the encoder."""
