"""Claims of papers, put to the test: one file per paper, run by ``flaxact reproduce``."""
