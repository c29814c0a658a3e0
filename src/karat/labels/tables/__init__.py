"""Label tables as arrays: names and codes, what a row says, annotations."""
