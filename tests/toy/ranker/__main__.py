from common.cli import main

main(case="toy_ranker")
