"""What is kept: vocabulary, vault, journal, tables, indexes and runs. Imports none of the other rooms."""
