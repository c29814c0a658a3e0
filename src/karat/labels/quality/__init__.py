"""How good labels are: scores, audits, review."""
