"""Rules of data quality: each looks at a record, with the little it must remember, and says what is wrong with it."""
