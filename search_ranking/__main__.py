"""Which of the platform's videos answer this query?"""

from common.cli import main

main(case="search_ranking")
