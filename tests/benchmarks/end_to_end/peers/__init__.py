"""Other ways to serve the model, each as its users would write it; each runs in an environment of its own."""
