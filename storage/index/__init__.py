"""Vectors, words, and both together. Indexes are rebuilt, never trusted."""
