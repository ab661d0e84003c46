"""Who is here, where their server runs, what pages they see."""
