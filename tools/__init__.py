"""What the project needs to make its own files; nothing of it ships."""
