"""`numbers`: the next numbers follow from the last ones, and the picture from the numbers."""
