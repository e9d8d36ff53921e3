"""The page of clocks and links for people, and the metrics for machines; nothing can be changed."""
