"""Published data sets as they lie on disk, one reader a file, and what is wrong with a copy of them."""
