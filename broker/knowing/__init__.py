"""What is known beside records: of archives, with its evidence, and of data sets as a whole."""
