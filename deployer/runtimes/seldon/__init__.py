"""Seldon's servers."""
