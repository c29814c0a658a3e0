"""One regression on data of several sites, of which only sums leave a site."""
