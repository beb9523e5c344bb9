"""Indexes in memory: exact vectors, BM25 and their blend. Rebuilt from stored data, never trusted from disk."""
