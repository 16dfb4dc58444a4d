"""A record's cell measured again."""
