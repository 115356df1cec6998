"""What a message means: methods and their parameters, requests under way, conversations."""
