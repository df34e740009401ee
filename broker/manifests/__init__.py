"""Lists of an answer's data in the forms that download tools read, with sizes, licences and citations."""
