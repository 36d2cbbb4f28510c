"""What a person sees of a verdict: the terminal."""
