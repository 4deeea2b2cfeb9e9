from common.cli import main

main(case="ad_click")
