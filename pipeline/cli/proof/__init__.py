"""Proofs before the night: all photographs with all paintings, small, on one sheet."""
