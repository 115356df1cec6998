"""How soon a conversation is answered."""
