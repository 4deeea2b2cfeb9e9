from common.cli import main

main(case="harmful_content")
