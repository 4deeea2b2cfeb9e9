from common.cli import main

main(case="visual_search")
