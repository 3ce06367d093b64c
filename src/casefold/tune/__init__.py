"""Search on OOF: what the recipe is made of, and the score that it will hold."""
