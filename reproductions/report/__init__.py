"""From run folders and records to verdicts, tables and pages: runs -> selection -> verdicts -> comparison -> layout."""
