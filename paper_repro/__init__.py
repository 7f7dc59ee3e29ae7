"""Claims of papers, put to the test: a file a paper, run by ``flaxact reproduce``."""
