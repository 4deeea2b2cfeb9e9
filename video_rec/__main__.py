from common.cli import main

main(case="video_rec")
