"""Portfolios valued at the latest prices: all of a worker's at once, by what changed."""
