"""Reproductions: a paper's claims, run in pieces that are stored, judged, and written up as pages."""
