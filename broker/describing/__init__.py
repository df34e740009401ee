"""What an answer found, in the forms in which data sets and studies are described elsewhere."""
