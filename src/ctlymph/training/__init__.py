"""Systems learned from the cases of a collection, every result kept, so that work goes on where it stopped."""
