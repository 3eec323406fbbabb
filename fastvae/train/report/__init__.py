"""`report.html`: one run as a page that holds all of itself."""
