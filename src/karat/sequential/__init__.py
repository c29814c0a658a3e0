"""Looking at results while labels come in."""
