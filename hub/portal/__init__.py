"""The web service that students and instructors see."""
