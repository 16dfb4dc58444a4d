"""Export: what a database needs to make a first stage's codes, and a reader of them."""
