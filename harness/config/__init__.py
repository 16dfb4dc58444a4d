"""Words and conf/ to checked options."""
