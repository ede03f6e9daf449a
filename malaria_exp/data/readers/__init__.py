"""Reading folders, zips, lists and names of cell images into a table."""
