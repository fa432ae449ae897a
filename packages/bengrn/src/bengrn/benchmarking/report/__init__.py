"""The report of a benchmark: a leaderboard for a browser, and the parts that any such page is made of."""
