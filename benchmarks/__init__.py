"""Compiled derivatives timed side by side with those of other libraries."""
