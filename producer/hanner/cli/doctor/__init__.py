"""What `hanner doctor` looks at. Each module judges what it is given, and is told of the world by doctor.py."""
