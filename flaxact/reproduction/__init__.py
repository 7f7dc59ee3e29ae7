"""Reproductions: a paper's claims, computed in stored pieces, judged, and reported as pages."""
