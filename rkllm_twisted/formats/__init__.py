"""What a file is by its own bytes: pure, for whatever reads files."""
