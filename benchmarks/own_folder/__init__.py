"""How good a model a user gets from a few hundred pictures of their own, and in what time."""
